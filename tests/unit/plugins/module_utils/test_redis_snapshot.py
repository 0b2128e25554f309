# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils._redis_snapshot import (
    BadSnapshot,
    Snapshot,
    check_program,
    examine,
    file_name,
    lasting_keys,
    snapshots,
)

# What redis-check-rdb 7.0.15 and valkey-check-rdb 8.1 print.
SOUND = """[offset 0] Checking RDB file dump.rdb
[offset 27] AUX FIELD redis-ver = '7.0.15'
[offset 82] Selecting DB ID 0
[offset 574] Checksum OK
[offset 574] \\o/ RDB looks OK! \\o/
[info] 8 keys read
[info] 3 expires
[info] 1 already expired
"""
CUT_OFF = """[offset 0] Checking RDB file dump.rdb
--- RDB ERROR DETECTED ---
[offset 125] Unexpected EOF reading RDB file
[additional info] While doing: read-object-value
[additional info] Reading key 'customer:4711'
[info] 1 keys read
"""


def server(tmp_path: Path, output: str, status: int) -> str:
    (tmp_path / "output").write_text(output)
    program = tmp_path / "redis-check-rdb"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/output\nexit {status}\n")
    program.chmod(0o755)
    return str(tmp_path / "redis-server")


def test_counts_keys_and_those_that_last(tmp_path: Path) -> None:
    assert examine(server(tmp_path, SOUND, 0), "dump.rdb") == Snapshot(8, 5, "7.0.15")
    valkey = SOUND.replace("redis-ver", "valkey-ver")
    assert examine(server(tmp_path, valkey, 0), "dump.rdb").server_version == "7.0.15"


def test_an_empty_snapshot_is_sound(tmp_path: Path) -> None:
    assert examine(server(tmp_path, "[info] 0 keys read\n[info] 0 expires\n", 0), "dump.rdb").keys == 0


def test_says_why_in_redis_s_words_and_names_no_key(tmp_path: Path) -> None:
    with pytest.raises(BadSnapshot) as error:
        examine(server(tmp_path, CUT_OFF, 1), "dump.rdb")
    assert str(error.value) == "Unexpected EOF reading RDB file"


def test_without_the_program_nothing_is_sound(tmp_path: Path) -> None:
    with pytest.raises(BadSnapshot, match="redis-check-rdb does not run: No such file"):
        examine(str(tmp_path / "redis-server"), "dump.rdb")


def test_each_server_has_its_own_program() -> None:
    assert check_program("/usr/bin/redis-server") == "/usr/bin/redis-check-rdb"
    assert check_program("/usr/bin/valkey-server") == "/usr/bin/valkey-check-rdb"


def test_keys_with_a_time_to_live_do_not_last() -> None:
    assert lasting_keys({"db0": "keys=5,expires=2,avg_ttl=7", "db3": "keys=1,expires=0,avg_ttl=0,subexpiry=0"}) == 4
    assert lasting_keys({}) == 0


def test_finds_the_copies_of_one_host_alone(tmp_path: Path) -> None:
    for name in ("a_20260101T000000Z.rdb", "a_20251231T235959Z.rdb", "a_b_20260102T000000Z.rdb", "a_notes.rdb", ".x.part"):
        (tmp_path / name).touch()
    assert [Path(path).name for path in snapshots(str(tmp_path), "a")] == ["a_20251231T235959Z.rdb", "a_20260101T000000Z.rdb"]
    assert file_name("a/b", "x") == "a_b_x.rdb"
