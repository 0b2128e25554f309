# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _redis_throwaway
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_throwaway import Refused, ThrowAway, server_words

FAKE = Path(__file__).with_name("fake_redis.py")
USER = getpass.getuser()


@pytest.fixture
def server(tmp_path: Path) -> str:
    program = tmp_path / "redis-server"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_two_texts_of_one_meaning_are_equal(server: str) -> None:
    with ThrowAway(server, USER, "maxmemory 1gb\nsave 1 2\nsave 3 4\nport 06379\nappendonly YES\n") as one:
        with ThrowAway(server, USER, 'maxmemory 1073741824\nsave 1 2 3 4\nappendonly yes\npidfile ""\n') as other:
            assert one.meaning() == other.meaning()
        with ThrowAway(server, USER, "maxmemory 2gb\n") as other:
            assert one.meaning() != other.meaning()


def test_what_is_neutral_in_the_private_process_counts_as_written(server: str) -> None:
    text = "port 7000\nappendonly yes\nlogfile /var/log/x\nmaxclients 5000\nreplicaof a 1\nunixsocket /run/x\ndir /var/../srv\ntls-port 7001\n"
    with ThrowAway(server, USER, text) as proof:
        assert proof.client.config()["port"] == "0"
        assert proof.client.config()["replicaof"] == ""
        values = proof.meaning().values
    expected = {"port": "7000", "appendonly": "yes", "logfile": "/var/log/x", "maxclients": "5000", "replicaof": "a 1", "dir": "/srv", "tls-port": "7001"}
    assert {name: values[name] for name in expected} == expected


def test_how_the_unit_runs_the_process_is_no_part_of_the_meaning(server: str) -> None:
    with ThrowAway(server, USER, "supervised systemd\ndaemonize no\n") as proof:
        assert not {"supervised", "daemonize"} & proof.meaning().values.keys()
        assert proof.meaning().unasked == []


def test_modules_are_not_loaded(server: str) -> None:
    with ThrowAway(server, USER, "loadmodule /x.so secret\nmodule.parameter 1\n") as proof:
        assert [key for key, _args in proof.meaning().unasked] == ["loadmodule /x.so", "module.parameter"]


def test_nothing_of_our_environment_reaches_the_process(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With it, Redis would tell systemd that a service is ready.
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    Path(server).write_text(Path(server).read_text().replace("exec", '[ -z "$NOTIFY_SOCKET" ] && exec'))
    with ThrowAway(server, USER, "port 0\n"):
        pass


def test_users_are_part_of_the_meaning_and_the_probe_is_not(server: str) -> None:
    with ThrowAway(server, USER, "requirepass hunter22\nuser bob on >x ~* +get\n") as proof:
        users = proof.meaning().users
    assert sorted(users) == ["bob", "default"]
    assert users["default"].startswith("on #")


def test_users_of_a_file_are_proven_too(server: str, tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text("user default on nopass ~* +@all")
    with ThrowAway(server, USER, f"aclfile {tmp_path}/users.acl\n") as proof:
        assert proof.meaning().values["aclfile"] == f"{tmp_path}/users.acl"
    with ThrowAway(server, USER, f"aclfile {tmp_path}/none.acl\n", users="user default off\nuser bob on >x +get") as proof:
        assert (proof.meaning().users["default"], proof.meaning().values["aclfile"]) == ("off", f"{tmp_path}/none.acl")
    with pytest.raises(Refused, match=f"ACL errors: {tmp_path}/none.acl, user bob: .*Syntax error"):
        ThrowAway(server, USER, f"aclfile {tmp_path}/none.acl\n", users="user default off\nuser bob on >x +bogus\n").__enter__()
    with pytest.raises(Refused, match="there is no such file"):
        with ThrowAway(server, USER, f"aclfile {tmp_path}/none.acl\n"):
            pass


def test_files_may_be_missing_in_check_mode(server: str, tmp_path: Path) -> None:
    text = f"aclfile {tmp_path}/none.acl\ntls-port 7001\ntls-cert-file {tmp_path}/none.crt\n"
    with ThrowAway(server, USER, text, lenient=True) as proof:
        assert proof.meaning().values["aclfile"] == f"{tmp_path}/none.acl"
        assert proof.client.config()["tls-replication"] == "no"


def test_certificates_are_read(server: str) -> None:
    with ThrowAway(server, USER, f"tls-port 7001\ntls-cert-file {__file__}\n") as proof:
        assert proof.client.config()["tls-replication"] == "yes"
        assert proof.meaning().values["tls-replication"] == "no"


def test_files_to_come_are_proven_in_private_copies(server: str) -> None:
    text, files = "tls-port 7001\ntls-cert-file /new.crt\n", {"/new.crt": "certificate"}
    with ThrowAway(server, USER, text, files=files) as proof:
        assert proof.client.config()["tls-cert-file"] != "/new.crt"
        assert proof.meaning().values["tls-cert-file"] == "/new.crt"
    with pytest.raises(Refused, match="Unable to update TLS"):
        with ThrowAway(server, USER, text, files={"/new.crt": "refuse this"}):
            pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port 1\nmaxmemory-polcy x\n", 'at line 2, "maxmemory-polcy": Bad directive or wrong number of arguments'),
        ("maxmemory 2gigs\n", 'at line 1, "maxmemory 2gigs": argument must be a memory value'),
        ('requirepass "hunter22\n', 'at line 1, "requirepass ********": Unbalanced quotes in configuration line'),
        ("requirpass hunter22\n", 'at line 1, "requirpass": Bad directive or wrong number of arguments'),
        ("user bob on >hunter22 +bogus\n", "user bob on >******** +bogus"),
    ],
)
def test_a_refusal_has_the_words_of_the_server_and_no_secret(server: str, text: str, words: str) -> None:
    with pytest.raises(Refused) as caught:
        with ThrowAway(server, USER, text):
            pass
    assert words in str(caught.value)
    assert "hunter22" not in str(caught.value)


def test_it_tells_what_can_be_set_at_run_time(server: str) -> None:
    with ThrowAway(server, USER, "") as proof:
        assert proof.refusal("maxmemory") == ""
        assert "immutable" in proof.refusal("databases")
        assert "where the data lies" in proof.refusal("dbfilename")


def test_nothing_stays_behind(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redis_throwaway.tempfile, "tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    with ThrowAway(server, USER, "requirepass hunter22\n") as proof:
        (place,) = set(tmp_path.iterdir()) - before
        assert place.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in place.iterdir()] == ["socket"]
        process = proof._process
    assert set(tmp_path.iterdir()) == before
    assert process.returncode is not None
    with pytest.raises(Refused):
        with ThrowAway(server, USER, "bogus 1\n"):
            pass
    assert set(tmp_path.iterdir()) == before


LOGGED = """12:C 22 Nov 2026 15:24:06.497 # Configuration loaded
12:M 22 Nov 2026 15:24:06.497 # Failed listening on port 6379 (TCP), aborting.
13:C 22 Nov 2026 15:24:06.497 # WARNING Memory overcommit must be enabled!
13:C 22 Nov 2026 15:24:06.497 # Configuration loaded
13:M 22 Nov 2026 15:24:06.498 * Running mode=standalone, port=0.
"""


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (f"{LOGGED}13:M 22 Nov 2026 15:24:06.498 # Failed opening Unix socket.\n", "Failed opening Unix socket"),
        (f"{LOGGED}13:M 22 Nov 2026 15:24:06.498 # >>> 'requirpass hunter22'\n", "requirpass: Unresolved Configuration(s) Detected"),
        ("\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nCan't open the log file: Permission denied\n", "Can't open the log file: Permission denied"),
        ("Segmentation fault\n", "Segmentation fault"),
        ("", ""),
    ],
)
def test_the_reason_is_found_in_what_the_server_said(output: str, words: str) -> None:
    assert server_words(output) == words
