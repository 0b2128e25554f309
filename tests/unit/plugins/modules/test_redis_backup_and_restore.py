# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both modules on a scratch host with a stand-in for Redis. The real one is in tests/chaos."""

from __future__ import annotations

import getpass
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ansible.module_utils import basic

from ansible_collections.taskqueue.stack.plugins.module_utils import _redis_snapshot
from ansible_collections.taskqueue.stack.plugins.modules import redis_backup, redis_restore
from ansible_collections.taskqueue.stack.tests.unit.plugins.modules.test_redis_config import Host as ConfiguredHost

# Prints what the real one would of the stand-in's files.
CHECK_RDB = """
import json, sys
text = open(sys.argv[1]).read()
if not text.startswith("REDIS0010"):
    sys.exit("--- RDB ERROR DETECTED ---\\n[offset 9] Can't handle RDB format version 99\\n[additional info] While doing: start")
counts = json.loads(text[9:])
print("[offset 27] AUX FIELD redis-ver = '7.0.15'")
print(f"[info] {counts['keys']} keys read\\n[info] {counts['expires']} expires\\n[info] 0 already expired")
"""


def snapshot(keys: int, expires: int = 0) -> str:
    return "REDIS0010" + json.dumps({"keys": keys, "expires": expires})


class Host(ConfiguredHost):
    """A host that runs a Redis as the service redis-server."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
        super().__init__(tmp_path, monkeypatch, capsys)
        program = tmp_path / "redis-check-rdb"
        program.write_text(f"#!{sys.executable}{CHECK_RDB}")
        program.chmod(0o755)
        self.copy = tmp_path / "copy.rdb"
        self.given = tmp_path / "given.rdb"
        # Starts of the service that are to fail.
        self.failures = 0

    def configure(self, *lines: str) -> None:
        self.path.write_text(self.content(*lines))

    def keys(self) -> int:
        return json.loads((self.data / "appendonlydir/appendonly.aof.manifest").read_text()[9:])["keys"]

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        if argv[:2] == ["systemctl", "start"]:
            self.calls.append(" ".join(argv[1:]))
            if self.failures:
                self.failures -= 1
                return 1, "", "Job failed"
            self.start()
            return 0, "", ""
        return super().run_command(argv)

    def call(self, module: ModuleType, check: bool = False, **options: object) -> dict:
        arguments = {
            "path": str(self.path),
            "server": str(self.server),
            "service": "redis-server",
            "timeout": 20,
            "_ansible_check_mode": check,
            "_ansible_remote_tmp": str(self._tmp),
            **options,
        }
        self._monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        self._monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        self.calls.clear()
        with pytest.raises(SystemExit):
            module.main()
        return json.loads(self._capsys.readouterr().out)

    def back_up(self, **options: object) -> dict:
        return self.call(redis_backup, dest="/x", _copy=str(self.copy), **options)

    def restore(self, content: str, **options: object) -> dict:
        self.given.write_text(content)
        return self.call(redis_restore, src="/backups/a.rdb", _file=str(self.given), user=getpass.getuser(), **options)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Iterator[Host]:
    mask = os.umask(0o022)
    created = Host(tmp_path, monkeypatch, capsys)
    yield created
    created.stop()
    os.umask(mask)


@pytest.fixture
def running(host: Host) -> Host:
    """A host whose Redis holds three keys, in an append-only file."""
    host.configure("appendonly yes")
    (host.data / "appendonlydir").mkdir()
    (host.data / "appendonlydir/appendonly.aof.manifest").write_text(snapshot(3))
    host.start()
    return host


def files(host: Host) -> set[str]:
    return {str(path.relative_to(host.data)) for path in host.data.rglob("*")}


def test_a_backup_is_a_snapshot_that_was_checked(running: Host) -> None:
    result = running.back_up()
    assert running.copy.read_text() == snapshot(3)
    assert (result["changed"], result["key_count"], result["size"], result["version"]) == (True, 3, len(snapshot(3)), "7.0.15")
    assert stat.S_IMODE(running.copy.stat().st_mode) == 0o600
    assert running.calls == []


def test_a_backup_in_check_mode_copies_nothing(running: Host) -> None:
    assert running.back_up(check=True)["changed"] is True
    assert not running.copy.exists()


def test_no_backup_without_a_running_server(host: Host) -> None:
    host.configure()
    assert "redis-server does not run" in host.back_up()["msg"]


def test_no_backup_without_a_configuration(host: Host) -> None:
    assert f"there is no {host.path} on this host" in host.back_up()["msg"]


def test_a_password_that_is_wrong_is_said_and_not_shown(running: Host) -> None:
    running.tell("CONFIG", "SET", "requirepass", "another-secret")
    message = running.back_up(login_password="my-old-secret")["msg"]
    assert "Give its present password as login_password" in message
    assert "my-old-secret" not in message


def test_the_password_of_the_configuration_is_used(host: Host) -> None:
    host.configure("requirepass swordfish")
    host.start()
    assert host.back_up()["key_count"] == 0


def test_a_snapshot_that_cannot_be_written_is_an_error(running: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"rdb_bgsave_in_progress": "0", "rdb_last_bgsave_status": "err"}
    monkeypatch.setattr(redis_backup.RedisClient, "info", lambda client, section: failed if section == "persistence" else INFO(client, section))
    assert "full disk" in running.back_up()["msg"]
    assert not running.copy.exists()


INFO = redis_backup.RedisClient.info


def test_restored_data_are_what_an_append_only_server_loads(running: Host) -> None:
    result = running.restore(snapshot(8, expires=2))
    assert (result["key_count"], result["server_version"]) == (8, "7.0.15")
    assert running.keys() == 8
    assert running.calls == ["stop redis-server", "reset-failed redis-server", "start redis-server"]
    kept = Path(result["kept"])
    assert kept.parent == running.data
    assert (kept / "appendonlydir/appendonly.aof.manifest").read_text() == snapshot(3)
    assert not list(running.data.glob("restore-*"))


def test_without_an_append_only_file_the_snapshot_is_enough(host: Host) -> None:
    host.configure("appendonly no")
    host.start()
    assert host.restore(snapshot(5))["kept"] == ""
    assert files(host) == {"dump.rdb"}


def test_a_restore_in_check_mode_touches_nothing(running: Host) -> None:
    before = files(running)
    assert running.restore(snapshot(5), check=True)["changed"] is True
    assert (files(running), running.calls) == (before, [])


@pytest.mark.parametrize("check", [True, False])
def test_a_newer_version_is_refused(running: Host, check: bool) -> None:
    before = files(running)
    message = running.restore("REDIS0099", check=check)["msg"]
    assert "/backups/a.rdb is no snapshot that" in message
    assert "Can't handle RDB format version 99. Nothing was changed" in message
    assert (files(running), running.calls) == (before, [])


def test_a_snapshot_that_loads_with_fewer_keys_is_refused(running: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(running)
    monkeypatch.setattr(_redis_snapshot, "lasting_keys", lambda keyspace: 4)
    assert "it holds 5 keys without a time to live" in running.restore(snapshot(5))["msg"]
    assert (files(running), running.calls) == (before, [])


def test_when_the_service_does_not_come_up_the_former_data_return(running: Host) -> None:
    before = files(running)
    running.failures = 1
    result = running.restore(snapshot(8))
    assert result["restored"] is True
    assert "The former data are back, and redis-server runs with them again" in result["msg"]
    assert running.keys() == 3
    assert files(running) == before
    assert running.process.poll() is None


def test_when_the_service_has_no_keys_the_former_data_return(running: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_restore, "count_keys", lambda keyspace: 0)
    result = running.restore(snapshot(8))
    assert "without the keys of /backups/a.rdb" in result["msg"]
    assert running.keys() == 3


def test_a_service_that_does_not_run_is_restored_and_started(host: Host) -> None:
    host.configure("appendonly yes")
    assert host.restore(snapshot(2))["changed"] is True
    assert host.process.poll() is None


def test_a_replica_is_refused(host: Host) -> None:
    host.configure("replicaof 192.0.2.1 6379")
    assert "replica of 192.0.2.1 6379" in host.restore(snapshot(2))["msg"]
    assert host.calls == []


def test_a_host_without_redis_is_refused(host: Host) -> None:
    assert "no Redis to restore" in host.restore(snapshot(2))["msg"]


def test_a_configuration_that_redis_refuses_is_said_before_anything_stops(running: Host) -> None:
    running.configure("bogus yes")
    assert "does not accept" in running.restore(snapshot(2))["msg"]
    assert running.calls == []
