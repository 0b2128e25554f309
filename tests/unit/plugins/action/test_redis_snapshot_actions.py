# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control node does for redis_backup and redis_restore."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from ansible.errors import AnsibleActionFail

from ansible_collections.taskqueue.stack.plugins.action import redis_backup, redis_restore

CONTENT = b"REDIS0010 and more"
VARIABLES = {"inventory_hostname": "queue"}


def make(plugin: type, base: Path, **args: object) -> MagicMock:
    """The plugin, with a host that is a directory."""
    (base / "remote").mkdir(exist_ok=True)
    connection = MagicMock()
    connection._shell.join_path = lambda *parts: "/".join(parts)
    connection.fetch_file = lambda remote, local: Path(local).write_bytes(Path(remote).read_bytes())
    task = MagicMock(args=args, async_val=0, check_mode=False, diff=False)
    action = plugin(task, connection, MagicMock(check_mode=False), MagicMock(), MagicMock(), None)
    action._make_tmp_path = lambda: str(base / "remote")
    action._remove_tmp_path = MagicMock()
    action._fixup_perms2 = lambda paths: None
    action._transfer_file = lambda local, remote: Path(remote).write_bytes(Path(local).read_bytes())
    return action


@pytest.fixture
def backup(tmp_path: Path):
    def call(checksum: str = hashlib.sha256(CONTENT).hexdigest(), **args: object) -> dict:
        action = make(redis_backup.ActionModule, tmp_path, dest=str(tmp_path / "backups"), **args)

        def run_module(module_name: str, module_args: dict, task_vars: dict) -> dict:
            Path(module_args["_copy"]).write_bytes(CONTENT)
            return {"changed": True, "checksum": checksum}

        action._execute_module = run_module
        return action.run(task_vars=VARIABLES)

    return call


def test_the_copy_is_whole_and_for_this_user_alone(backup, tmp_path: Path) -> None:
    file = Path(backup()["file"])
    assert file.read_bytes() == CONTENT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_copy_that_arrives_otherwise_does_not_count(backup, tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="did not arrive as it left"):
        backup(checksum="0" * 64, keep=1)
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize(("keep", "left"), [(0, 4), (2, 2), ("3", 3), (9, 4)])
def test_older_copies_go(backup, tmp_path: Path, keep: object, left: int) -> None:
    directory = tmp_path / "backups"
    directory.mkdir()
    old = [directory / f"queue_2025010{day}T000000Z.rdb" for day in (1, 2, 3)]
    others = [directory / "queue2_20250101T000000Z.rdb", directory / "notes.txt"]
    for path in old + others:
        path.touch()
    result = backup(keep=keep)
    assert len(list(directory.glob("queue_*"))) == left
    assert result["removed"] == [str(path) for path in old[: 4 - left]]
    assert all(path.exists() for path in others)
    assert Path(result["file"]).exists()


def test_a_number_of_copies_that_is_none(backup, tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="keep is -1"):
        backup(keep=-1)


def test_a_directory_that_cannot_be(backup, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("a file")
    with pytest.raises(AnsibleActionFail, match="dest: .*backups on the control node"):
        backup()


@pytest.fixture
def restore(tmp_path: Path):
    def call(src: object) -> dict:
        action = make(redis_restore.ActionModule, tmp_path, src=src)
        action._execute_module = lambda module_name, module_args, task_vars: {"sent": Path(module_args["_file"]).read_bytes()}
        return action.run(task_vars=VARIABLES)

    return call


def test_a_file_is_sent(restore, tmp_path: Path) -> None:
    (tmp_path / "any.rdb").write_bytes(CONTENT)
    result = restore(str(tmp_path / "any.rdb"))
    assert (result["sent"], result["file"]) == (CONTENT, str(tmp_path / "any.rdb"))


def test_of_a_directory_the_host_s_newest_is_sent(restore, tmp_path: Path) -> None:
    for name in ("queue_20260101T000000Z", "queue_20260102T000000Z", "queue2_20260103T000000Z"):
        (tmp_path / f"{name}.rdb").write_bytes(b"VALKEY080" + name.encode())
    assert restore(str(tmp_path))["sent"].endswith(b"queue_20260102T000000Z")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.rdb", None, "src: .*missing.rdb on the control node: No such file"),
        ("appendonly.aof", b"*2\r\n$6\r\nSELECT", "is no snapshot: an RDB file begins with REDIS"),
        ("empty.rdb", b"", "is no snapshot"),
        ("directory/", None, "holds no copy of queue"),
        ("", None, "src is missing"),
    ],
)
def test_what_is_no_snapshot_is_not_sent(restore, tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if name == "directory/":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AnsibleActionFail, match=words):
        restore(str(tmp_path / name) if name else "")
