# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils._release_store import ReleaseError, ReleaseStore, release_id

A, B, C, D = (letter * 16 for letter in "abcd")


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    store = ReleaseStore(str(tmp_path / "root"))
    for number, name in enumerate((A, B, C)):
        os.makedirs(store.path(name))
        store.complete(name, {"created": f"2026-01-0{number + 1}"})
    return store


def test_release_id_depends_on_every_input_and_not_on_order() -> None:
    assert release_id({"a": 1, "b": [1]}) == release_id({"b": [1], "a": 1})
    assert release_id({"a": 1}) != release_id({"a": 2})


def test_a_directory_without_marker_is_no_release(store: ReleaseStore) -> None:
    os.makedirs(store.path(D))
    assert store.marker(D) is None
    assert store.marker(None) is None
    assert store.whole() == [A, B, C]


def test_a_damaged_marker_is_no_marker(store: ReleaseStore) -> None:
    Path(store.path(A), "release.json").write_text("{")
    assert store.whole() == [B, C]


def test_switch_replaces_the_link_and_remembers_the_previous_one(store: ReleaseStore) -> None:
    store.switch(A)
    assert (store.linked("current"), store.linked("previous")) == (A, None)
    store.switch(B)
    store.switch(B)
    assert (store.linked("current"), store.linked("previous")) == (B, A)
    assert os.readlink(os.path.join(store.root, "current")) == f"releases/{B}"


def test_a_directory_in_place_of_the_link_is_refused(store: ReleaseStore) -> None:
    os.mkdir(os.path.join(store.root, "current"))
    with pytest.raises(ReleaseError, match="move it away"):
        store.linked("current")


def test_oldest_releases_go_first(store: ReleaseStore) -> None:
    store.switch(C)
    assert store.prunable(3, C) == []
    assert store.prunable(2, C) == [A]
    assert store.prunable(1, C) == [A, B]


def test_current_and_previous_stay_however_old(store: ReleaseStore) -> None:
    store.switch(A)
    store.switch(B)
    assert store.prunable(1, B) == [C]
    # Before a switch, the link still names what will be the previous release.
    assert store.prunable(1, D) == [A, C]


def test_remains_of_builds_are_removed_and_foreign_things_are_not(store: ReleaseStore) -> None:
    store.switch(C)
    for name in (D, "lost+found"):
        os.makedirs(store.path(name))
    assert store.prunable(3, C) == [D]


def test_a_release_in_use_stays(store: ReleaseStore) -> None:
    # A name of its own: a process counts for every test that runs beside this one.
    busy = "e" * 16
    os.rename(store.path(A), store.path(busy))
    store.switch(C)
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", store.path(busy) + "/bin/celery"], stdin=subprocess.PIPE) as process:
        kept = store.prunable(1, C)
        process.stdin.close()
    assert kept == [B]


def test_removal_takes_all_of_it(store: ReleaseStore) -> None:
    store.remove(A)
    store.remove(D)
    assert not os.path.exists(store.path(A))


def test_proof_is_for_root_only_and_for_exactly_one_thing(store: ReleaseStore) -> None:
    assert store.proven_tasks("x") is None
    store.record_proof("x", ["shop.bill"])
    assert store.proven_tasks("x") == ["shop.bill"]
    store.record_proof("y", [])
    assert store.proven_tasks("x") is None
    assert store.proven_tasks("y") == []
    assert stat.S_IMODE(os.stat(os.path.join(store.root, ".proven")).st_mode) == 0o600


def test_lock_waits_until_the_deadline_and_outlives_its_holder(store: ReleaseStore) -> None:
    with store.locked(time.monotonic()) as descriptor:
        with pytest.raises(ReleaseError, match="another run"), store.locked(time.monotonic()):
            pass
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(descriptor,))
    try:
        with pytest.raises(ReleaseError, match="another run"), store.locked(time.monotonic()):
            pass
    finally:
        child.communicate()
    with store.locked(time.monotonic()):
        pass
