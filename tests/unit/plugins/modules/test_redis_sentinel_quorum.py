# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible.module_utils import basic

from ansible_collections.taskqueue.stack.plugins.modules import redis_sentinel_quorum
from ansible_collections.taskqueue.stack.tests.unit.plugins.module_utils.fake_servers import OK, Server, Status, info


def words(**facts: str) -> list[str]:
    return [word for pair in facts.items() for word in pair]


def replica(flags: str = "slave", link: str = "ok") -> list[str]:
    return words(flags=flags, **{"master-link-status": link})


def other(port: str = "26379", heard: int = 1200) -> list[str]:
    return words(port=port, **{"last-hello-message": str(heard)})


class Sentinel:
    """One that is content, until a test says otherwise."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
        self.path, self._monkeypatch, self._capsys = path, monkeypatch, capsys
        self.primary = {"ip": "192.0.2.1", "port": "6379", "flags": "master"}
        self.replicas = [replica(), replica()]
        self.sentinels = [other(), other()]
        self.quorum = ""
        # What happens by itself each time it is asked.
        self.moves: Callable[[], None] = lambda: None

    def answer(self, said: list[str]) -> object:
        if said[0] == "INFO":
            return info(config_file=self.path, process_id=7)
        if said[0] == "CONFIG":
            return ["port", "26379"]
        if said[0] != "SENTINEL":
            return OK
        if said[2] != "mymaster":
            raise ValueError("ERR No such master with that name")
        if said[1] == "MASTER":
            self.moves()
            return words(**self.primary)
        if said[1] == "CKQUORUM" and self.quorum:
            raise ValueError(self.quorum)
        answers = {"SENTINELS": self.sentinels, "SLAVES": self.replicas, "GET-MASTER-ADDR-BY-NAME": [self.primary["ip"], self.primary["port"]]}
        return answers.get(said[1], Status("OK 3 usable Sentinels."))

    def ask(self, **options: object) -> dict:
        arguments = {"path": str(self.path), "names": ["mymaster"], "timeout": 0, **options}
        self._monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        self._monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            redis_sentinel_quorum.main()
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def sentinel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Iterator[Sentinel]:
    made = Sentinel(tmp_path / "sentinel.conf", monkeypatch, capsys)
    with Server(made.answer) as server:
        made.path.write_text(f"port {server.port}\nbind 127.0.0.1\n", encoding="utf-8")
        yield made


def test_says_where_the_primary_is(sentinel: Sentinel) -> None:
    result = sentinel.ask()
    assert (result["changed"], result["primaries"]) == (False, {"mymaster": "192.0.2.1:6379"})


@pytest.mark.parametrize(
    ("state", "options", "expected"),
    [
        ({"primary": {"ip": "192.0.2.1", "port": "6379", "flags": "s_down,master"}}, {}, "the primary 192.0.2.1 port 6379 is in the state s_down,master"),
        ({"quorum": "NOQUORUM 1 usable Sentinels."}, {}, "mymaster: NOQUORUM 1 usable Sentinels"),
        ({"replicas": []}, {}, "mymaster: 0 of the 1 replicas are in good order"),
        ({"replicas": [replica("slave,s_down"), replica(link="err"), replica()]}, {"replicas": 2}, "mymaster: 1 of the 2 replicas are in good order"),
        ({}, {"names": ["mymaster", "other"]}, "other: No such master with that name"),
    ],
)
def test_says_why_no_failover_would_come_about(sentinel: Sentinel, state: dict, options: dict, expected: str) -> None:
    for name, value in state.items():
        setattr(sentinel, name, value)
    result = sentinel.ask(**options)
    assert result["failed"] and expected in result["msg"], result
    assert "redis_sentinel_address" in result["msg"]


def test_who_is_the_last_one_left_needs_no_replica(sentinel: Sentinel) -> None:
    sentinel.replicas = [replica("slave,s_down,disconnected", "err")]
    assert sentinel.ask()["failed"]
    result = sentinel.ask(alone=["mymaster"])
    assert "failed" not in result
    (warning,) = result["warnings"]
    assert "mymaster: there is no other server left" in str(warning)


def test_waits_until_the_sentinels_have_found_each_other(sentinel: Sentinel) -> None:
    sentinel.quorum = "NOQUORUM 1 usable Sentinels."
    asked = []

    def moves() -> None:
        asked.append(1)
        if len(asked) == 3:
            sentinel.quorum = ""

    sentinel.moves = moves
    assert "failed" not in sentinel.ask(timeout=20)
    assert len(asked) == 3


def test_says_that_nobody_answers(tmp_path: Path, sentinel: Sentinel) -> None:
    silent = tmp_path / "other.conf"
    silent.write_text("port 1\n", encoding="utf-8")
    result = sentinel.ask(path=str(silent))
    assert result["failed"] and "no Sentinel answers" in result["msg"]


def test_says_where_a_sentinel_was_replaced(sentinel: Sentinel) -> None:
    assert sentinel.ask(sentinels=3)["replaced"] == []
    sentinel.sentinels.append(other(port="0", heard=90000))
    assert sentinel.ask(sentinels=3)["replaced"] == ["mymaster"]


def test_waits_for_the_successor_of_one_that_calls_no_more(sentinel: Sentinel) -> None:
    """Until that one calls, it is taken for the one before it, as it has the same address."""
    sentinel.sentinels = [other(), other(heard=90000)]
    asked = []

    def moves() -> None:
        asked.append(1)
        if len(asked) == 2:
            sentinel.sentinels = [other(), other(port="0", heard=90000), other()]

    sentinel.moves = moves
    assert sentinel.ask(sentinels=3, timeout=20)["replaced"] == ["mymaster"]
    assert len(asked) == 2


def test_a_majority_is_enough(sentinel: Sentinel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_sentinel_quorum, "PATIENCE", 1)
    sentinel.sentinels = [other(), other(heard=90000)]
    result = sentinel.ask(sentinels=3, timeout=20)
    assert ("failed" not in result, result["replaced"]) == (True, [])
