# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of a failover, and that one which comes to nothing leaves the primary as it was. Real servers: molecule/ha."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from ansible_collections.taskqueue.stack.plugins.modules import redis_failover
from ansible_collections.taskqueue.stack.plugins.modules.redis_failover import SIGNALS, Failover, Problem, stop
from ansible_collections.taskqueue.stack.tests.unit.plugins.module_utils.fake_servers import OK, HangUp, Server, Status, info


class Set:
    """Three servers that replicate each other and two Sentinels. What is done to them is noted in order."""

    def __init__(self) -> None:
        self.version = dict.fromkeys(("redis1", "redis2", "redis3"), "7.0.15")
        self.role = dict.fromkeys(("redis1", "redis2", "redis3"), "slave") | {"redis1": "master"}
        self.follows = dict.fromkeys(("redis2", "redis3"), "redis1")
        self.link = dict.fromkeys(self.role, "up")
        # How often a replica has yet to be asked until it has everything.
        self.behind = dict.fromkeys(self.role, 0)
        self.known: object = "redis1"
        self.no_quorum: set[str] = set()
        self.refusal = ""
        self.promotes = True
        # Whether it goes on trying, and milliseconds until it gives up, or takes a silent server for dead.
        self.tries, self.failover_timeout, self.down_after = False, 1000, 1000
        # How often the new primary has yet to be asked until it says that it is one.
        self.hesitates = 0
        self.followers_follow = True
        self.min_replicas = "1"
        self.done: list[str] = []
        self.servers: dict[str, Server] = {}
        self.warnings: list[str] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Set]:
        with contextlib.ExitStack() as stack:
            for name in self.role:
                self.servers[name] = stack.enter_context(Server(lambda words, name=name: self.serve(name, words)))
            for name in ("sentinel1", "sentinel2"):
                self.servers[name] = stack.enter_context(Server(lambda words, name=name: self.watch(name, words)))
            yield self

    def serve(self, name: str, words: list[str]) -> object:
        if words[0] == "PING":
            return Status("PONG")
        if words == ["INFO", "replication"]:
            return self.replication(name)
        if words[0] == "INFO":
            return info(redis_version=self.version[name]) if words[1] == "server" else info(db0="keys=3,expires=0")
        if words[:2] == ["CONFIG", "GET"]:
            return [words[2], self.min_replicas]
        self.done.append(f"{name}: {' '.join(words)}")
        if words[0] == "REPLICAOF":
            self.follow(name, next(each for each in self.role if self.servers[each].port == int(words[2])))
        if words[:2] == ["CONFIG", "SET"]:
            self.min_replicas = words[3]
        return OK

    def replication(self, name: str) -> str:
        self.hesitates -= self.hesitates > 0 and self.role[name] == "master" and name != "redis1"
        if self.role[name] == "master" and not (self.hesitates and name != "redis1"):
            return info(role="master", connected_slaves=2, master_repl_offset=100)
        self.behind[name] -= self.behind[name] > 0
        return info(role="slave", master_host="127.0.0.1", master_port=self.servers[self.follows[name]].port, master_link_status=self.link[name],
                    slave_repl_offset=90 if self.behind[name] else 100)

    def follow(self, name: str, primary: str) -> None:
        self.role[name], self.follows[name] = "slave", primary

    def watch(self, name: str, words: list[str]) -> object:
        if words[0] == "PING":
            return Status("PONG")
        if words[1] == "GET-MASTER-ADDR-BY-NAME":
            return ["127.0.0.1", str(self.servers[self.known].port)] if isinstance(self.known, str) else self.known
        if words[1] == "MASTER":
            flags = "master,failover_in_progress" if self.tries else "master"
            return ["name", "mymaster", "flags", flags, "down-after-milliseconds", str(self.down_after), "failover-timeout", str(self.failover_timeout)]
        if words[1] == "CKQUORUM":
            if name in self.no_quorum:
                raise ValueError("NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified quorum")
            return Status("OK 3 usable Sentinels.")
        self.done.append(f"{name}: {' '.join(words[1:])}")
        if self.refusal:
            raise ValueError(self.refusal)
        if self.promotes:
            self.role["redis2"], self.known = "master", "redis2"
            if self.followers_follow:
                self.follow("redis3", "redis2")
        return OK

    def fail_over(self, **options: object) -> dict:
        given = {"name": "mymaster", "login_user": None, "login_password": None, "sentinel_password": None, "tls": None, "timeout": 1, **options}
        given["nodes"] = [self.node(name) for name in self.role]
        given["sentinels"] = [self.node(name) for name in ("sentinel1", "sentinel2")]
        return Failover(SimpleNamespace(params=given, tmpdir="", check_mode=options.get("check_mode", False), warn=self.warnings.append)).run()

    def node(self, name: str) -> dict:
        return {"name": name, "host": "127.0.0.1", "port": self.servers[name].port}

    @property
    def port(self) -> int:
        return self.servers["redis2"].port


@pytest.fixture
def servers() -> Iterator[Set]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with Set().running() as made:
        yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def test_writes_wait_until_the_old_primary_follows_the_new(servers: Set) -> None:
    result = servers.fail_over()
    assert (result["changed"], result["before"], result["after"]) == (True, "redis1", "redis2")
    assert servers.done == [
        "redis1: CLIENT PAUSE 10000 WRITE",
        "sentinel1: FAILOVER mymaster",
        f"redis1: REPLICAOF 127.0.0.1 {servers.port}",
        "redis1: CLIENT KILL TYPE normal",
        "redis1: CLIENT KILL TYPE pubsub",
        "redis1: CLIENT UNPAUSE",
        "redis1: CONFIG REWRITE",
    ]


def test_nobody_is_promoted_before_every_replica_has_everything(servers: Set) -> None:
    seen = []
    serve, watch = servers.serve, servers.watch

    def lag(name: str, words: list[str]) -> object:
        if words[:2] == ["CLIENT", "PAUSE"]:
            # It had everything until then.
            servers.behind["redis3"] = 4
        return serve(name, words)

    def note(name: str, words: list[str]) -> object:
        if words[1:2] == ["FAILOVER"]:
            seen.append(servers.behind["redis3"])
        return watch(name, words)

    servers.serve, servers.watch = lag, note
    servers.fail_over()
    assert seen == [0]


def test_replicas_catch_up_while_writes_go_on(servers: Set) -> None:
    servers.behind["redis3"] = 8
    paused = []
    serve = servers.serve

    def note(name: str, words: list[str]) -> object:
        if words[:2] == ["CLIENT", "PAUSE"]:
            paused.append(servers.behind["redis3"])
        return serve(name, words)

    servers.serve = note
    servers.fail_over()
    assert paused == [0]


def test_the_old_primary_follows_nobody_who_is_none_yet(servers: Set) -> None:
    servers.hesitates = 3
    seen = []
    follow = servers.follow

    def note(name: str, primary: str) -> None:
        seen.append((name, servers.hesitates))
        follow(name, primary)

    servers.follow = note
    servers.fail_over()
    assert ("redis1", 0) in seen


def test_a_replica_that_does_not_get_there_stops_it_before_writes_wait(servers: Set) -> None:
    servers.behind["redis3"] = 10**6
    with pytest.raises(Problem, match=r"redis3 .* did not get all that redis1 .* has within 1 seconds, so nothing was handed over"):
        servers.fail_over()
    assert servers.done == []


def test_writes_go_on_before_sentinels_lose_patience(servers: Set) -> None:
    serve = servers.serve

    def die(name: str, words: list[str]) -> object:
        if words[:2] == ["CLIENT", "PAUSE"]:
            servers.behind["redis3"] = 10**6
        return serve(name, words)

    servers.serve = die
    with pytest.raises(Problem, match=r"redis3 .* within 0.5 seconds, so nothing was handed over, and redis1 .* goes on as the primary"):
        servers.fail_over(timeout=15)
    assert servers.done == ["redis1: CLIENT PAUSE 10000 WRITE", "redis1: CLIENT UNPAUSE"]


def test_before_6_2_writes_are_refused_meanwhile_and_the_file_does_not_say_so(servers: Set) -> None:
    servers.version = dict.fromkeys(servers.version, "6.0.16")
    servers.fail_over()
    assert servers.done[0] == "redis1: CONFIG SET min-replicas-to-write 1000"
    assert servers.done[-2:] == ["redis1: CONFIG SET min-replicas-to-write 1", "redis1: CONFIG REWRITE"]
    assert not [line for line in servers.done if "PAUSE" in line]


def test_a_run_that_is_cut_off_lets_writes_go_on(servers: Set) -> None:
    serve = servers.serve

    def cut(name: str, words: list[str]) -> object:
        answer = serve(name, words)
        if words[:2] == ["CONFIG", "SET"] and words[3] == "1000":
            servers.behind["redis3"] = 10**6
            os.kill(os.getpid(), signal.SIGTERM)
        return answer

    servers.serve = cut
    servers.version = dict.fromkeys(servers.version, "6.0.16")
    signal.signal(signal.SIGTERM, stop)
    with pytest.raises(Problem, match="stopped by SIGTERM"):
        servers.fail_over()
    assert (servers.done[-1], servers.min_replicas) == ("redis1: CONFIG SET min-replicas-to-write 1", "1")


def test_what_sentinel_has_begun_is_ended(servers: Set) -> None:
    watch = servers.watch

    def cut(name: str, words: list[str]) -> object:
        if words[1:2] == ["FAILOVER"]:
            os.kill(os.getpid(), signal.SIGHUP)
        return watch(name, words)

    servers.watch = cut
    signal.signal(signal.SIGHUP, stop)
    assert servers.fail_over()["after"] == "redis2"


def test_check_mode_only_asks(servers: Set) -> None:
    assert servers.fail_over(check_mode=True) == {"changed": True, "before": "redis1", "after": "redis1"}
    assert servers.done == []


def test_another_sentinel_is_asked_where_one_sees_no_majority(servers: Set) -> None:
    servers.no_quorum = {"sentinel1"}
    servers.fail_over()
    assert "sentinel2: FAILOVER mymaster" in servers.done


def test_a_sentinel_that_refuses_leaves_the_primary(servers: Set) -> None:
    servers.refusal = "NOGOODSLAVE No suitable replica to promote"
    with pytest.raises(Problem, match=r"sentinel1 .* refused a failover: NOGOODSLAVE.*redis1 .* goes on as the primary"):
        servers.fail_over()
    assert servers.done[-1] == "redis1: CLIENT UNPAUSE"


def test_a_failover_that_sentinel_gives_up_leaves_the_primary(servers: Set) -> None:
    servers.promotes = False
    with pytest.raises(Problem, match=r"sentinel1 .* gave it up .* so redis1 .* goes on as the primary"):
        servers.fail_over()
    assert servers.done[-1] == "redis1: CLIENT UNPAUSE"
    assert servers.role["redis1"] == "master"


def test_writes_wait_until_sentinel_has_given_up(servers: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each time as long as half of it is over.
    monkeypatch.setattr(redis_failover, "PAUSE", 1)
    servers.promotes, servers.tries, servers.failover_timeout = False, True, -1500
    with pytest.raises(Problem, match=r"did not bring a failover about within 2 seconds. The Sentinels have redis1 .* sentinel master mymaster"):
        servers.fail_over()
    assert servers.done.count("redis1: CLIENT PAUSE 1000 WRITE") > 2
    assert servers.done[-1] == "redis1: CLIENT UNPAUSE"


def test_another_sentinel_says_what_became_of_one_that_is_gone(servers: Set) -> None:
    watch = servers.watch

    def die(name: str, words: list[str]) -> object:
        if name == "sentinel1" and "sentinel1: FAILOVER mymaster" in servers.done:
            raise HangUp
        return watch(name, words)

    servers.watch = die
    assert servers.fail_over()["after"] == "redis2"


def test_an_old_primary_that_is_lost_meanwhile_does_not_hide_the_outcome(servers: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each time it is asked for.
    monkeypatch.setattr(redis_failover, "PAUSE", 0)
    serve = servers.serve

    def die(name: str, words: list[str]) -> object:
        if name == "redis1" and "sentinel1: FAILOVER mymaster" in servers.done:
            raise HangUp
        return serve(name, words)

    servers.serve = die
    with pytest.raises(Problem, match=r"redis2 .* is the primary now, and redis1 .* could not be told"):
        servers.fail_over()


def test_an_old_primary_that_is_lost_takes_no_writes_any_more(servers: Set) -> None:
    serve = servers.serve

    def die(name: str, words: list[str]) -> object:
        if words[0] == "REPLICAOF":
            raise HangUp
        return serve(name, words)

    servers.serve = die
    with pytest.raises(Problem, match=r"redis2 .* is the primary now, and redis1 .* could not be told to follow it"):
        servers.fail_over()
    assert "redis1: CLIENT UNPAUSE" not in servers.done


def test_who_cannot_be_told_to_take_writes_again_is_named(servers: Set) -> None:
    serve = servers.serve

    def die(name: str, words: list[str]) -> object:
        if words == ["CONFIG", "SET", "min-replicas-to-write", "1"]:
            raise HangUp
        return serve(name, words)

    servers.serve, servers.refusal = die, "NOGOODSLAVE"
    servers.version = dict.fromkeys(servers.version, "6.0.16")
    with pytest.raises(Problem, match="refused a failover"):
        servers.fail_over()
    assert "redis-cli config set min-replicas-to-write 1" in servers.warnings[0]


def test_an_older_one_that_is_upgraded_next_need_not_understand_the_new_primary(servers: Set) -> None:
    servers.version["redis1"], servers.link["redis1"] = "6.2.14", "down"
    assert servers.fail_over()["after"] == "redis2"


@pytest.mark.parametrize(("late", "named"), [(3, False), (10**6, True)])
def test_every_sentinel_has_heard_of_it_in_the_end(servers: Set, late: int, named: bool) -> None:
    watch, left = servers.watch, [late]

    def lag(name: str, words: list[str]) -> object:
        if name == "sentinel2" and words[1:2] == ["GET-MASTER-ADDR-BY-NAME"] and servers.known == "redis2":
            left[0] -= 1
            if left[0] > 0:
                return ["127.0.0.1", str(servers.servers["redis1"].port)]
        return watch(name, words)

    servers.watch = lag
    if named:
        with pytest.raises(Problem, match=r"redis2 .* is the primary now, and the Sentinels sentinel2 .* did not hear of it"):
            servers.fail_over()
    else:
        assert (servers.fail_over()["after"], left) == ("redis2", [0])


def test_a_sentinel_that_is_away_need_not_hear_of_it(servers: Set) -> None:
    watch = servers.watch

    def away(name: str, words: list[str]) -> object:
        if name == "sentinel2":
            raise HangUp
        return watch(name, words)

    servers.watch = away
    assert servers.fail_over()["after"] == "redis2"


def test_who_does_not_follow_is_named(servers: Set) -> None:
    servers.followers_follow = False
    with pytest.raises(Problem, match=r"redis2 .* is the primary now, and redis3 .* did not follow"):
        servers.fail_over()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"no_quorum": {"sentinel1", "sentinel2"}}, ["no Sentinel could carry out a failover of mymaster", "sentinel2", "NOQUORUM"]),
        ({"known": None}, ["sentinel1", "it knows no primary mymaster"]),
        ({"known": ["198.51.100.7", "6379"]}, ["198.51.100.7 port 6379 as the primary mymaster", "none of redis1"]),
        ({"known": "redis2"}, ["redis2", "and it is none: replica", "wait for it to end"]),
        ({"link": {"redis1": "up", "redis2": "up", "redis3": "down"}}, ["redis3", "answers and does not get the data of redis1", "systemctl stop"]),
        ({"link": {"redis1": "up", "redis2": "down", "redis3": "down"}}, ["redis1", "no replica in good order", "redis2", "down"]),
    ],
)
def test_says_why_it_cannot_begin(servers: Set, state: dict, words: list[str]) -> None:
    for name, value in state.items():
        setattr(servers, name, value)
    with pytest.raises(Problem) as problem:
        servers.fail_over()
    assert [word for word in words if word not in str(problem.value)] == [], problem.value
    assert servers.done == []
