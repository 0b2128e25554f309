# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who the primary is, and who must not be made to follow it. Real servers: molecule/ha."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import Node, Word
from ansible_collections.taskqueue.stack.plugins.modules.redis_replication_info import (
    Stored,
    decide,
    has_role,
    is_in_step,
    objection,
    stored_in,
)

NODES = [Node(f"redis{number}", f"192.0.2.{number}", 6379) for number in (1, 2, 3)]
SILENT = {"answers": False, "refuses": False, "error": "refused"}
STRANGER = {"answers": False, "refuses": True, "error": "WRONGPASS"}
NOBODY, DATA = Stored(), Stored(has_data=True)


def primary(keys: int = 0) -> dict:
    return {"answers": True, "refuses": False, "role": "primary", "primary_host": "", "primary_port": 0, "link": "", "keys": keys}


def replica(of: str, link: str = "up") -> dict:
    return {"answers": True, "refuses": False, "role": "replica", "primary_host": of, "primary_port": 6379, "link": link, "keys": 5}


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


def test_servers_that_were_independent_follow_the_one_with_data() -> None:
    assert decision(primary(), primary(7), primary()) == ("redis2", "servers", "")


@pytest.mark.parametrize(
    ("seen", "words", "said"),
    [
        ((primary(3), primary(7), SILENT), (), ["redis1 and redis2 are primaries with keys", "flushall on those whose data may go"]),
        ((primary(3), primary(7), replica("192.0.2.1")), (), ["redis2 is a primary of its own", "7 keys", "following redis1", "redis-cli flushall"]),
        # One was made the primary by hand, and the other is not told yet.
        ((primary(3), SILENT, replica("192.0.2.2")), (),
         ["redis3 follows redis2 (", "redis1 (192.0.2.1 port 6379) is a primary with 3 keys",
          "redis-cli replicaof 192.0.2.1 6379 && redis-cli config rewrite on redis3"]),
        ((replica("192.0.2.2"), primary(), replica("192.0.2.1")), (), ["different primaries", "redis1, redis2", "PORT && redis-cli config rewrite"]),
        ((SILENT, replica("198.51.100.7"), SILENT), (), ["redis2 follows 198.51.100.7", "none of the hosts", "no one && redis-cli config rewrite"]),
        ((SILENT, STRANGER, SILENT), (), ["redis2", "lets nobody in", "redis_password"]),
        ((SILENT, SILENT, SILENT), (Word("s", ("198.51.100.7", 6379), 0, ()),), ["the Sentinels have 198.51.100.7", "none of the hosts", "redis1 (192.0.2.1"]),
        # The right host by another port is another server.
        ((SILENT, SILENT, SILENT), (word(1, port=7000),), ["the Sentinels have 192.0.2.1 port 7000"]),
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
        ("redis3", (primary(9), replica("192.0.2.1"), STRANGER), DATA, AGREED, ["redis3 does not answer (", "has data"]),
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


@pytest.mark.parametrize(
    ("own", "seen", "stored", "words"),
    [
        # New and empty, running or not.
        ("redis3", (primary(9), replica("192.0.2.1"), primary()), NOBODY, AGREED),
        ("redis3", (primary(9), replica("192.0.2.1"), SILENT), NOBODY, AGREED),
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
        ("redis1", replica("192.0.2.2"), False),
        ("redis2", replica("192.0.2.1"), True),
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
