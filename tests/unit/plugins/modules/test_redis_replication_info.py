# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who the primary is, and who must not be made to follow it. Real servers: molecule/ha."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible.module_utils import basic

from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import Node, Word
from ansible_collections.taskqueue.stack.plugins.modules import redis_replication_info
from ansible_collections.taskqueue.stack.plugins.modules.redis_replication_info import (
    Stored,
    decide,
    has_role,
    is_in_step,
    moves,
    objection,
    stored_in,
    survey,
)
from ansible_collections.taskqueue.stack.tests.unit.plugins.module_utils.fake_servers import OK, Server, info

NODES = [Node(f"redis{number}", f"192.0.2.{number}", 6379) for number in (1, 2, 3)]
SILENT = {"answers": False, "at_home": False, "refuses": False, "distrusted": False, "error": "refused"}
STRANGER = {**SILENT, "refuses": True, "error": "WRONGPASS"}
EXPIRED = {**SILENT, "distrusted": True, "error": "certificate has expired"}
NOBODY, DATA = Stored(), Stored(has_data=True)


def primary(keys: int = 0, replicas: int = 0) -> dict:
    return {**SILENT, "answers": True, "role": "primary", "primary_host": "", "primary_port": 0, "link": "", "keys": keys, "replicas": replicas}


def replica(of: str, link: str = "up", port: int = 6379) -> dict:
    return {**primary(5), "role": "replica", "primary_host": of, "primary_port": port, "link": link}


def at_home(server: dict, plain: int = 6379, tls: int = 0) -> dict:
    return {**server, "at_home": True, "ports": {"plain": plain, "tls": tls}}


def following(number: int) -> Stored:
    return Stored(has_data=True, leader=(f"192.0.2.{number}", 6379))


def word(number: int, by: int = 1, epoch: int = 0, replicas: tuple[int, ...] = (), port: int = 6379) -> Word:
    return Word(f"sentinel{by}", (f"192.0.2.{number}", port), epoch, tuple((f"192.0.2.{each}", 6379) for each in replicas))


def named(*seen: dict) -> dict[str, dict]:
    return {node.name: {"name": node.name, "host": node.host, "port": node.port, **each} for node, each in zip(NODES, seen)}


def decision(*seen: dict, words: tuple = (), watchers: int = 3) -> tuple[str, str, str]:
    return decide(NODES, named(*seen), list(words), watchers, "mymaster")


def lacks(words: list[str], problem: str) -> list[str]:
    return [each for each in words if each not in problem]


def test_the_first_is_the_primary_of_the_first_run() -> None:
    assert decision(SILENT, SILENT, SILENT) == ("redis1", "inventory", "")


@pytest.mark.parametrize(
    ("seen", "words", "expected"),
    [
        # A majority, which needs nobody's consent.
        ((primary(9), SILENT, SILENT), (word(3), word(3, by=2)), "redis3"),
        # The latest failover, of which one does not know, or two do not know yet.
        ((primary(9), primary(9), replica("192.0.2.2")), (word(1, epoch=1), word(2, by=2, epoch=2), word(2, by=3, epoch=2)), "redis2"),
        ((SILENT, primary(9), replica("192.0.2.2")), (word(1, epoch=1), word(1, by=2, epoch=1), word(2, by=3, epoch=2)), "redis2"),
        # The first of three that run, in a run that was cut off.
        ((primary(9), SILENT, SILENT), (word(1),), "redis1"),
    ],
)
def test_sentinels_know_better_than_the_inventory_and_the_servers(seen: tuple, words: tuple, expected: str) -> None:
    assert decision(*seen, words=words) == (expected, "sentinels", "")


def test_without_sentinels_it_is_whom_the_others_follow() -> None:
    assert decision(primary(), primary(), replica("192.0.2.2")) == ("redis2", "servers", "")


def test_who_is_away_stays_the_primary_of_those_that_follow() -> None:
    assert decision(replica("192.0.2.2"), SILENT, replica("192.0.2.2")) == ("redis2", "servers", "")


def test_a_new_server_that_nobody_reaches_yet_is_no_rival_of_one_that_is_away() -> None:
    assert decision(at_home(primary()), SILENT, replica("192.0.2.2")) == ("redis2", "servers", "")


def test_who_answers_at_home_alone_counts() -> None:
    """Certificates have expired, and the second is the primary: each host hears its own server and nobody else, and all find the same."""
    assert decision(at_home(replica("192.0.2.2")), EXPIRED, EXPIRED) == ("redis2", "servers", "")
    assert decision(EXPIRED, at_home(primary(9)), EXPIRED) == ("redis2", "servers", "")
    assert objected("redis2", "redis2", (EXPIRED, at_home(primary(9)), EXPIRED), DATA) == ""
    assert objected("redis1", "redis2", (at_home(replica("192.0.2.2")), EXPIRED, EXPIRED), following(2)) == ""


def test_servers_that_were_independent_follow_the_one_with_data() -> None:
    assert decision(primary(), primary(7), primary()) == ("redis2", "servers", "")


@pytest.mark.parametrize(
    ("seen", "words", "said"),
    [
        ((primary(3), primary(7), SILENT), (), ["redis1 and redis2 are primaries with keys", "flushall on those whose data may go"]),
        ((primary(3), primary(7), replica("192.0.2.1")), (), ["redis2 is a primary of its own", "7 keys", "following redis1", "redis-cli flushall"]),
        # One was made the primary by hand, and the other is not told yet. Its queue may be empty.
        ((primary(3), SILENT, replica("192.0.2.2")), (),
         ["redis3 follows redis2 (", "redis1 (192.0.2.1 port 6379) is a primary with 3 keys",
          "redis-cli replicaof 192.0.2.1 6379 && redis-cli config rewrite on redis3"]),
        ((primary(), SILENT, replica("192.0.2.2")), (), ["redis3 follows redis2 (", "does not answer (refused)", "redis1 (192.0.2.1 port 6379) is a primary",
                                                         "Start redis2 (systemctl start)", "where redis1 was put in its place"]),
        (
            (primary(3), EXPIRED, replica("192.0.2.2")), (),
            ["which shows a certificate that is not accepted (certificate has expired)", "Give redis2 one that is"],
        ),
        ((replica("192.0.2.2"), primary(), replica("192.0.2.1")), (), ["different primaries", "redis1, redis2", "PORT && redis-cli config rewrite"]),
        (
            (SILENT, replica("198.51.100.7"), SILENT), (),
            ["redis2 follows 198.51.100.7", "none of the hosts", "no one && redis-cli config rewrite", '"Move a set"'],
        ),
        ((SILENT, STRANGER, SILENT), (), ["redis2", "lets nobody in", "redis_password"]),
        ((SILENT, SILENT, SILENT), (Word("s", ("198.51.100.7", 6379), 0, ()),), ["the Sentinels have 198.51.100.7", "none of the hosts", "redis1 (192.0.2.1"]),
        # The right host by another port is another server.
        ((SILENT, SILENT, SILENT), (word(1, port=7000),),
         ["the Sentinels have 192.0.2.1 port 7000", "redis_address, redis_port or redis_tls_port", '"Move a set"']),
        # Everything was off, and one Sentinel is up again.
        ((SILENT, SILENT, SILENT), (word(1),), ["1 of 3 Sentinels can be asked (sentinel1)", "redis1 (192.0.2.1", "later failover", "systemctl start"]),
        # Two halves that do not know of each other.
        ((primary(3), primary(7), SILENT), (word(1), word(2, by=2)), ["sentinel1 has redis1", "sentinel2 has redis2", "sentinel remove mymaster"]),
        # A failover that is under way, or was made by hand.
        ((replica("192.0.2.2"), SILENT, SILENT), (word(1), word(1, by=2)), ["have redis1", "follows 192.0.2.2", "under way", "config rewrite"]),
        ((primary(3), primary(7), replica("192.0.2.2")), (word(1), word(1, by=2)), ["have redis1", "redis2 (192.0.2.2 port 6379) is a primary that others"]),
        ((SILENT, primary(7), replica("192.0.2.2")), (word(1), word(1, by=2)), ["have redis1", "redis2 (192.0.2.2 port 6379) is a primary that others"]),
    ],
)
def test_says_why_nobody_knows_who_it_is(seen: tuple, words: tuple, said: list[str]) -> None:
    problem = decision(*seen, words=words)[2]
    assert lacks(said, problem) == [], problem


def objected(own: str, to: str, seen: tuple, stored: Stored = NOBODY, words: tuple = (), watchers: int = 3) -> str:
    return objection(NODES, own, to, named(*seen), stored, list(words), watchers, "mymaster")


AGREED = (word(1, replicas=(2,)), word(1, by=2, replicas=(2,)), word(1, by=3, replicas=(2,)))


@pytest.mark.parametrize(
    ("own", "seen", "stored", "words", "said"),
    [
        # A server that had a life of its own joins a set with Sentinels.
        ("redis3", (primary(9), replica("192.0.2.1"), primary(800)), NOBODY, AGREED, ["redis3", "holds 800 keys", "following redis1", "flushall"]),
        ("redis3", (primary(9), replica("192.0.2.1"), SILENT), DATA, AGREED, ["redis3 does not answer (", "has data", "replica of redis1", "systemctl"]),
        (
            "redis3", (primary(9), replica("192.0.2.1"), STRANGER), DATA, AGREED,
            ["redis3 lets nobody in (WRONGPASS), has data", "password of it in redis_password"],
        ),
        ("redis3", (primary(9), replica("192.0.2.1"), EXPIRED), DATA, AGREED, ["certificate that is not accepted (certificate has expired), has data"]),
        # Of a set of its own, it is not told to throw away what others have of it.
        ("redis3", (primary(9), replica("192.0.2.1"), primary(800, 2)), NOBODY, AGREED, ["redis3 is a primary with 800 keys and 2 replicas", "take them out"]),
        # Without Sentinels.
        ("redis3", (primary(9), SILENT, SILENT), DATA, (), ["redis3 does not answer (", "has data"]),
        # What one Sentinel alone holds for a replica may be the primary of the others.
        ("redis2", (primary(9), primary(7), SILENT), NOBODY, AGREED[:1], ["redis2 is a primary of its own and holds 7 keys"]),
        # The stranger that it follows.
        ("redis2", (primary(9), replica("198.51.100.7"), SILENT), NOBODY, AGREED, ["redis2 follows 198.51.100.7", "config rewrite"]),
        ("redis3", (primary(9), SILENT, SILENT), Stored(True, ("198.51.100.7", 6379)), (), ["redis3 does not answer (", "has data"]),
        # The primary of before is away (--limit), and this one may have more of its data than the inventory's first has.
        ("redis3", (SILENT, SILENT, SILENT), following(2), (), ["redis3 does not answer", "follows redis2 (192.0.2.2 port 6379) by its file", "systemctl"]),
        ("redis3", (primary(9), SILENT, SILENT), following(2), (), ["follows redis2"]),
        # Everything is down, and the inventory's first was a replica when it ended.
        ("redis1", (SILENT, SILENT, SILENT), following(2), (), ["redis1", "follows 192.0.2.2 port 6379", "systemctl start"]),
    ],
)
def test_nobody_loses_what_is_no_copy(own: str, seen: tuple, stored: Stored, words: tuple, said: list[str]) -> None:
    problem = objected(own, "redis1", seen, stored, words)
    assert lacks(said, problem) == [], problem
    # What nobody can ask, nobody can empty; and what others follow must not be emptied.
    assert "flushall" not in problem or seen[int(own[-1]) - 1]["answers"]


@pytest.mark.parametrize(
    ("server", "encrypted", "said"),
    [
        # A set that runs without TLS is to have it, on another port or on the same; or another port.
        (at_home(replica("192.0.2.1", port=6380), 6380), False, ["redis2 listens on port 6380 without TLS", "to listen on port 6379 without TLS"]),
        (at_home(replica("192.0.2.1")), True, ["on port 6379 without TLS, and", "port 6379 with TLS", '"Move a set"']),
        (at_home(primary(9, 2), 6379, 6380), True, ["on port 6379 without TLS and port 6380 with TLS"]),
        # Nobody follows it: it may get whatever it is to have. Or it has that already, and another address or certificate is what it lacks.
        (at_home(primary(9)), True, []),
        (at_home(replica("198.51.100.7")), True, []),
        (at_home(replica("192.0.2.1"), 0, 6379), True, []),
        (at_home(primary(9, 2)), False, []),
        # It answers where it is to answer, nobody knows where it listens, or it does not run.
        (replica("192.0.2.1"), True, []),
        ({**at_home(primary(9, 2)), "ports": {}}, True, []),
        (SILENT, True, []),
    ],
)
def test_a_set_that_runs_is_not_moved(server: dict, encrypted: bool, said: list[str]) -> None:
    problem = moves(NODES, "redis2", named(SILENT, server, SILENT)["redis2"], encrypted)
    assert bool(problem) == bool(said)
    assert lacks(said, problem) == [], problem


@pytest.mark.parametrize(
    ("own", "seen", "stored", "words"),
    [
        # New and empty, running or not.
        ("redis3", (primary(9), replica("192.0.2.1"), primary()), NOBODY, AGREED),
        ("redis3", (primary(9), replica("192.0.2.1"), SILENT), NOBODY, AGREED),
        # An old one that was emptied, and that only its own host can ask yet.
        ("redis3", (primary(9), replica("192.0.2.1"), at_home(primary())), DATA, AGREED),
        # What a server that runs has left on its disk, and let go of since.
        ("redis3", (primary(9), replica("192.0.2.1"), primary()), DATA, AGREED),
        # A primary of before comes back, by the word of a majority, running or not.
        ("redis2", (primary(9), primary(7), SILENT), NOBODY, AGREED),
        ("redis2", (primary(9), SILENT, SILENT), DATA, AGREED),
        # A replica, as it says itself or its file.
        ("redis2", (primary(9), replica("192.0.2.1"), SILENT), NOBODY, ()),
        ("redis2", (primary(9), SILENT, SILENT), following(1), ()),
        ("redis2", (primary(9), SILENT, SILENT), following(3), AGREED),
        # The primary itself, up, or down with its data.
        ("redis1", (primary(9), SILENT, SILENT), following(2), ()),
        ("redis1", (SILENT, SILENT, SILENT), DATA, ()),
        ("redis1", (SILENT, SILENT, SILENT), following(2), AGREED),
    ],
)
def test_what_is_a_copy_or_nothing_may_go(own: str, seen: tuple, stored: Stored, words: tuple) -> None:
    assert objected(own, "redis1", seen, stored, words) == ""


@pytest.mark.parametrize(
    ("own", "me", "stored", "expected"),
    [
        ("redis1", primary(), NOBODY, True),
        ("redis1", SILENT, following(2), True),
        # At its next start it would follow.
        ("redis1", primary(), following(2), False),
        ("redis2", replica("192.0.2.1"), following(1), True),
        # Sentinel is about to tell it whom to follow.
        ("redis2", replica("192.0.2.3"), following(3), True),
        # At its next start it would be a primary, or follow a stranger.
        ("redis2", replica("192.0.2.1"), NOBODY, False),
        ("redis2", replica("192.0.2.1"), Stored(True, ("198.51.100.7", 6379)), False),
        # It runs as a primary, whatever its file says of another life.
        ("redis2", primary(), NOBODY, False),
        ("redis2", primary(), following(1), False),
        ("redis2", primary(), Stored(True, ("198.51.100.7", 6379)), False),
        ("redis2", SILENT, NOBODY, False),
        ("redis2", SILENT, following(1), True),
        ("redis2", SILENT, following(3), False),
    ],
)
def test_a_part_is_given_to_whoever_has_none(own: str, me: dict, stored: Stored, expected: bool) -> None:
    assert has_role(NODES, own, "redis1", me, stored) is expected


@pytest.mark.parametrize(
    ("own", "me", "expected"),
    [
        ("redis1", primary(), True),
        ("redis1", at_home(primary()), False),
        ("redis1", replica("192.0.2.2"), False),
        ("redis2", replica("192.0.2.1"), True),
        ("redis2", at_home(replica("192.0.2.1")), False),
        ("redis2", replica("192.0.2.1", "down"), False),
        ("redis2", replica("192.0.2.3"), False),
        ("redis2", replica("198.51.100.7"), False),
        # A primary of its own is nobody's replica.
        ("redis2", primary(), False),
        ("redis2", SILENT, False),
    ],
)
def test_in_step_is_who_has_the_data_of_the_primary(own: str, me: dict, expected: bool) -> None:
    assert is_in_step(NODES, own, "redis1", me) is expected


def test_what_a_stopped_server_is_going_to_be(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    assert stored_in(str(path)) == Stored()
    path.write_text(f"dir {tmp_path}\nreplicaof 192.0.2.1 6379\nslaveof 192.0.2.2 6380\n", encoding="utf-8")
    assert stored_in(str(path)) == Stored(False, ("192.0.2.2", 6380))
    path.write_text(f"dir {tmp_path}\nreplicaof no one\n", encoding="utf-8")
    (tmp_path / "dump.rdb").touch()
    assert stored_in(str(path)) == Stored(True, None)


def test_what_a_silent_server_told_its_own_host_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = named(SILENT, primary(7), STRANGER)
    monkeypatch.setattr(redis_replication_info, "ask", lambda _peers, node: servers[node.name])
    told = named(at_home(primary(3)), at_home(primary(4)), at_home(primary(5)))
    seen = survey(None, NODES, [*told.values(), {"name": "other"}])
    assert seen == {"redis1": told["redis1"], "redis2": servers["redis2"], "redis3": servers["redis3"]}


def test_a_server_with_its_former_password_is_known_by_its_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = named(primary(7), STRANGER, STRANGER)
    monkeypatch.setattr(redis_replication_info, "ask", lambda _peers, node: servers[node.name])
    told = named(primary(7), replica("192.0.2.1"), at_home(primary(5)))
    assert survey(None, NODES, list(told.values())) == {"redis1": servers["redis1"], "redis2": told["redis2"], "redis3": servers["redis3"]}


class Listening:
    """A server that has keys, on loopback alone."""

    port = 0

    def __init__(self, path: Path, replicas: int = 0) -> None:
        self.path, self.replicas = path, replicas

    def __call__(self, words: list[str]) -> object:
        if words[0] == "CONFIG":
            return ["port", str(self.port), "tls-port", "0"]
        sections = {
            "server": info(redis_version="7.0.15", config_file=self.path, process_id=7), "replication": info(role="master", connected_slaves=self.replicas),
            "keyspace": info(db0="keys=9,expires=0"),
        }
        return sections[words[1]] if words[0] == "INFO" else OK


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, **options: object) -> dict:
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        redis_replication_info.main()
    return json.loads(capsys.readouterr().out)


def test_the_own_server_is_asked_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    path, server = tmp_path / "redis.conf", Listening(tmp_path / "redis.conf")
    with Server(server) as listening:
        server.port = listening.port
        path.write_text(f"port {server.port}\nbind 127.0.0.1\ndir {tmp_path}\n", encoding="utf-8")
        nodes = [{"name": f"redis{number}", "host": f"127.0.0.{number}", "port": 1} for number in (2, 3)]
        result = run(monkeypatch, capsys, nodes=nodes, own="redis3", path=str(path))
        other = run(monkeypatch, capsys, nodes=nodes, own="redis2", path=str(tmp_path / "none"), told=result["told"])
    mine = result["nodes"][1]
    assert (result["primary"], result["source"], result["problem"], result["in_step"], result["role_to_set"]) == ("redis3", "servers", "", False, False)
    assert {key: mine[key] for key in ("answers", "at_home", "keys", "role", "ports")} == {
        "answers": True, "at_home": True, "keys": 9, "role": "primary", "ports": {"plain": server.port, "tls": 0},
    }
    assert result["told"] == [mine]
    assert (other["primary"], other["problem"], other["role_to_set"], other["told"], other["agreeing"]) == ("redis3", "", True, [], [])


def test_the_own_server_is_not_moved_away_from_its_replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    path, server = tmp_path / "redis.conf", Listening(tmp_path / "redis.conf", replicas=1)
    with Server(server) as listening:
        server.port = listening.port
        path.write_text(f"port {server.port}\nbind 127.0.0.1\ndir {tmp_path}\n", encoding="utf-8")
        nodes = [{"name": f"redis{number}", "host": f"127.0.0.{number}", "port": 1} for number in (2, 3)]
        result = run(monkeypatch, capsys, nodes=nodes, own="redis3", path=str(path))
    assert f"redis3 listens on port {server.port} without TLS, and is to listen on port 1 without TLS" in result["problem"]
    assert result["role_to_set"] is False
