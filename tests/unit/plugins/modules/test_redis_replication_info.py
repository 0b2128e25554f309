# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import Node
from ansible_collections.taskqueue.stack.plugins.modules.redis_replication_info import decide

NODES = [Node(f"redis{number}", f"192.0.2.{number}", 6379) for number in (1, 2, 3)]
SILENT = {"answers": False, "refuses": False, "error": "refused"}
STRANGER = {"answers": False, "refuses": True, "error": "WRONGPASS"}


def primary(keys: int = 0) -> dict:
    return {"answers": True, "refuses": False, "role": "primary", "primary_host": "", "primary_port": 0, "keys": keys}


def replica(of: str) -> dict:
    return {"answers": True, "refuses": False, "role": "replica", "primary_host": of, "primary_port": 6379, "keys": 5}


def decision(*seen: dict, answers: tuple = ()) -> tuple[str, str, str]:
    named = {node.name: {"name": node.name, "host": node.host, "port": node.port, **each} for node, each in zip(NODES, seen)}
    return decide(NODES, "redis1", named, list(answers), "mymaster")


def test_the_first_is_the_primary_of_the_first_run() -> None:
    assert decision(SILENT, SILENT, SILENT) == ("redis1", "inventory", "")


def test_sentinels_know_better_than_the_inventory_and_the_servers() -> None:
    answers = (("192.0.2.3", 6379), None, ("192.0.2.3", 6379), ("192.0.2.1", 6379))
    assert decision(primary(9), SILENT, SILENT, answers=answers) == ("redis3", "sentinels", "")


def test_a_sentinel_that_watches_its_own_machine_knows_nothing() -> None:
    assert decision(SILENT, SILENT, SILENT, answers=(("127.0.0.1", 6379),)) == ("redis1", "inventory", "")


def test_without_sentinels_it_is_whom_the_others_follow() -> None:
    assert decision(primary(), primary(), replica("192.0.2.2")) == ("redis2", "servers", "")


def test_who_is_away_stays_the_primary_of_those_that_follow() -> None:
    assert decision(replica("192.0.2.2"), SILENT, replica("192.0.2.2")) == ("redis2", "servers", "")


def test_servers_that_were_independent_follow_the_one_with_data() -> None:
    assert decision(primary(), primary(7), primary()) == ("redis2", "servers", "")


@pytest.mark.parametrize(
    ("seen", "answers", "words"),
    [
        ((primary(3), primary(7), SILENT), (), ["redis2 is a primary of its own", "7 keys", "following redis1"]),
        ((replica("192.0.2.2"), primary(), replica("192.0.2.1")), (), ["different primaries", "redis1, redis2"]),
        ((SILENT, replica("198.51.100.7"), SILENT), (), ["redis2 follows 198.51.100.7", "none of the hosts"]),
        ((SILENT, STRANGER, SILENT), (), ["redis2", "lets nobody in", "redis_password"]),
        ((SILENT, SILENT, SILENT), (("198.51.100.7", 6379),), ["the Sentinels have 198.51.100.7", "none of the hosts", "redis1 (192.0.2.1"]),
        # The right host by another port is another server.
        ((SILENT, SILENT, SILENT), (("192.0.2.1", 7000),), ["the Sentinels have 192.0.2.1 port 7000"]),
    ],
)
def test_says_what_would_cost_data(seen: tuple, answers: tuple, words: list[str]) -> None:
    problem = decision(*seen, answers=answers)[2]
    assert [word for word in words if word not in problem] == [], problem
