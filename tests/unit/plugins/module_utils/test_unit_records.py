# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _unit_records
from ansible_collections.taskqueue.stack.plugins.module_utils._systemd import UnitState
from ansible_collections.taskqueue.stack.plugins.module_utils._unit_records import (
    Watched,
    WatchError,
    is_up_to_date,
    read_record,
    remove_record,
    write_record,
)


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_unit_records, "RECORDS", str(tmp_path / "records"))
    return tmp_path / "records"


def state(invocation: str = "one", started: float = 1000.0, needs_reload: bool = False) -> UnitState:
    return UnitState("loaded", "active", "running", "success", 1, invocation, needs_reload, "enabled", 0, "0", started)


def test_record_is_kept_where_only_root_looks(records: Path) -> None:
    assert read_record("a.service") == {}
    write_record("a.service", "one", "digest")
    assert read_record("a.service") == {"invocation": "one", "digest": "digest"}
    assert stat.S_IMODE(records.stat().st_mode) == 0o700
    assert stat.S_IMODE((records / "a.service.json").stat().st_mode) == 0o600
    remove_record("a.service")
    remove_record("a.service")
    assert read_record("a.service") == {}


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_damaged_record_is_no_record(records: Path, content: str) -> None:
    records.mkdir()
    (records / "a.service.json").write_text(content)
    assert read_record("a.service") == {}


def test_digest_follows_unit_and_content_of_files_but_not_their_times(tmp_path: Path) -> None:
    env = tmp_path / "celery.env"
    env.write_text("A=1")
    paths = [str(env), str(tmp_path / "absent")]
    first = Watched(paths).digest("unit")
    os.utime(env, (1, 1))
    assert Watched(paths[::-1]).digest("unit") == first
    assert Watched(paths).digest("other unit") != first
    env.write_text("A=2")
    assert Watched(paths).digest("unit") != first


def test_of_a_link_the_target_counts(tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to("releases/one")
    first = Watched([str(link)]).digest("")
    link.unlink()
    link.symlink_to("releases/two")
    assert Watched([str(link)]).digest("") != first


def test_last_change_is_that_of_the_newest_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("")
    assert Watched([str(tmp_path / "a"), str(tmp_path / "b")]).changed == (tmp_path / "b").stat().st_ctime
    assert Watched([]).changed == 0


def test_directories_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(WatchError, match="neither a file nor a symbolic link"):
        Watched([str(tmp_path)])


@pytest.mark.parametrize(
    ("record", "changed", "needs_reload", "expected"),
    [
        ({"invocation": "one", "digest": "d"}, 2000.0, True, True),
        ({"invocation": "one", "digest": "old"}, 10.0, False, False),
        ({"invocation": "other", "digest": "d"}, 999.0, False, True),
        ({"invocation": "other", "digest": "d"}, 1001.0, False, False),
        ({}, 999.0, False, True),
        ({}, 999.99, False, False),
        ({}, 999.0, True, False),
    ],
)
def test_who_is_up_to_date(record: dict, changed: float, needs_reload: bool, expected: bool) -> None:
    assert is_up_to_date(state(needs_reload=needs_reload), record, "d", changed) is expected
