# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.taskqueue.stack.plugins.filter.redis_replication_problems import redis_replication_problems


def seen(name: str, answers: bool = False, keys: int = 0, version: str = "7.0.15") -> dict:
    return {"name": name, "answers": answers, **({"keys": keys, "version": version} if answers else {})}


def said(nodes: list[dict], primary: str = "redis1", source: str = "servers", has_data: bool = False, version: str = "7.0.15", problem: str = "") -> dict:
    return {"primary": primary, "source": source, "problem": problem, "nodes": nodes, "has_data": has_data, "version": version}


def problems(hosts: dict[str, dict], own: str = "redis1", **options: object) -> list[str]:
    return redis_replication_problems(hosts, own, "mymaster", **options)


AWAY = [seen("redis1"), seen("redis2", True, 5), seen("redis3", True, 5)]
ALL_AWAY = [seen("redis1"), seen("redis2"), seen("redis3")]
EMPTY = [seen("redis1"), seen("redis2", True), seen("redis3", True)]
UP = [seen("redis1", True, 5), seen("redis2", True, 5), seen("redis3", True, 5)]


def everybody(nodes: list[dict], with_data: str = "", **each: object) -> dict[str, dict]:
    return {node["name"]: said(nodes, has_data=node["name"] in with_data, **each) for node in nodes}


@pytest.mark.parametrize(
    "hosts",
    [
        everybody(UP, "redis1 redis2 redis3"),
        # The first run, and the second where the first was cut off on the first host.
        everybody(ALL_AWAY, source="inventory"),
        everybody(EMPTY),
        everybody(EMPTY, source="sentinels"),
        # The primary is down and has its data.
        everybody(AWAY, "redis1 redis2 redis3"),
        # One of the hosts, in its turn.
        {"redis1": said(UP)},
    ],
)
def test_says_nothing_where_nothing_is_lost(hosts: dict) -> None:
    assert problems(hosts) == []


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ({"redis1": said(UP, problem="it is contradictory.")}, ["redis1: it is contradictory."]),
        # A disk was lost, and everybody else would copy the nothing that is left.
        (everybody(AWAY, "redis2 redis3"),
         ["redis1 is the primary that others follow", "redis2, redis3 would throw away", "no one && redis-cli config rewrite"]),
        (everybody(AWAY, "redis2 redis3", source="sentinels"), ["by the word of the Sentinels", "redis2, redis3", "-p 26379 sentinel failover mymaster"]),
        (everybody(ALL_AWAY, "redis3", source="sentinels"), ["by the word of the Sentinels", "redis3 would throw away"]),
        (everybody(ALL_AWAY, "redis2", source="inventory"), ["nobody knows who it was", "redis2 would throw away", "systemctl start valkey"]),
        # --limit: of the others no more is known than what they say, or that they do not.
        ({"redis1": said(ALL_AWAY, source="inventory")}, ["redis2, redis3 would throw away", "without --limit"]),
        ({"redis1": said(AWAY, source="sentinels")}, ["redis2, redis3 would throw away"]),
        # Two halves of a network.
        ({"redis1": said(UP, source="sentinels"), "redis2": said(UP, primary="redis2", source="sentinels")},
         ["find different primaries: redis1 finds redis1, redis2 finds redis2", "reaches the others' Redis and Sentinels"]),
    ],
)
def test_says_what_would_cost_data(hosts: dict, words: list[str]) -> None:
    (problem,) = problems(hosts, service="valkey")
    assert [word for word in words if word not in problem] == [], problem


def test_only_the_primary_to_be_is_held_up() -> None:
    assert problems(everybody(AWAY, "redis2 redis3"), own="redis2") == []


def test_of_all_hosts_without_one() -> None:
    hosts = {**everybody(AWAY, "redis2 redis3"), "redis2": said(AWAY, problem="no.")}
    (one, other) = problems(hosts, own="")
    assert "redis1 is the primary that others follow" in one
    assert other == "redis2: no."


@pytest.mark.parametrize(
    ("primary", "mine", "source", "words"),
    [
        ("7.0.15", "6.2.14", "servers", ["redis1 is the primary and runs 7.0.15, and redis2 has 6.2.14", "taskqueue.stack.upgrade", "redis_module_stream"]),
        ("8.0.2", "7", "servers", ["runs 8.0.2", "has 7"]),
        ("7.0.15", "7.0.4", "servers", []),
        (
            "6.2.14", "7.0.15", "servers",
            ["redis1 is the primary and runs 6.2.14, and redis2 has 7.0.15", "after a failover to redis2", "taskqueue.stack.upgrade"],
        ),
        ("6.2.14", "7", "sentinels", ["runs 6.2.14, and redis2 has 7:"]),
        ("7.0.15", "7", "servers", []),
        # Of what a module stream is going to bring, the first number is known.
        ("7.2.4", "7", "servers", []),
        ("7.2.4", "0", "servers", []),
        ("7.0.15", "6.2", "inventory", ["different versions, 6.2 and 7.0", "redis_module_stream"]),
        ("7.0.15", "7", "inventory", []),
    ],
)
def test_an_older_server_does_not_follow_a_newer(primary: str, mine: str, source: str, words: list[str]) -> None:
    nodes = [seen("redis1", source != "inventory", 5, version=primary), seen("redis2")]
    hosts = {"redis1": said(nodes, version=primary, source=source, has_data=True), "redis2": said(nodes, version=mine, source=source)}
    found = problems(hosts, own="redis2")
    assert bool(found) == bool(words), found
    assert [word for word in words if word not in found[0]] == [], found
    # An upgrade that was cut off between the hand-over and the last host is completed by the next.
    assert problems(hosts, own="redis2", upgrading=True) == []
