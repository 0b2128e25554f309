# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles make of what hosts say of their replication. Whole runs: molecule/ha."""

from __future__ import annotations

from pathlib import Path

import yaml
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.taskqueue.stack.plugins.filter.redis_replication_problems import redis_replication_problems

ROLES = Path(__file__).parents[3] / "roles"
NAMES = ("redis1", "redis2", "redis3")


def tasks(path: str) -> list[dict]:
    return yaml.safe_load((ROLES / path).read_text(encoding="utf-8"))


def problems(batch: list[str], **primaries: str) -> list[str]:
    """What redis1 is told when each of these hosts has found that primary, and these have their turn at the same time."""
    environment = NativeEnvironment()
    environment.filters.update({
        "zip": zip, "extract": lambda key, container: container[key], "taskqueue.stack.redis_replication_problems": redis_replication_problems,
    })
    (refusal,) = (task for task in tasks("redis/tasks/replication.yml") if "ansible.builtin.fail" in task)
    assert refusal["when"] == "__redis_replication_problems | length > 0"
    nodes = [{"name": name, "answers": True, "keys": 1, "version": "7.0.15"} for name in NAMES]
    found = {name: {"problem": "", "primary": primary, "source": "sentinels", "nodes": nodes, "has_data": True, "version": "7.0.15"}
             for name, primary in primaries.items()}
    variables = {
        "__redis_set": nodes, "ansible_play_batch": batch, "inventory_hostname": "redis1", "redis_primary_name": "mymaster", "__redis_service": "redis",
        "hostvars": {name: {"inventory_hostname": name, **({"__redis_replication_info": found[name]} if name in found else {})} for name in NAMES},
    }
    for name in ("__redis_asked", "__redis_replication_problems"):
        variables[name] = environment.from_string(refusal["vars"][name]).render(**variables)
    return variables["__redis_replication_problems"]


def test_hosts_that_find_different_primaries_stop() -> None:
    (problem,) = problems(list(NAMES), redis1="redis1", redis2="redis2", redis3="redis2")
    assert "find different primaries" in problem


def test_what_was_so_before_a_hand_over_is_not_compared() -> None:
    assert problems(["redis1"], redis1="redis2", redis2="redis1") == []


def test_hosts_that_agree_or_were_not_asked_go_on() -> None:
    assert problems(list(NAMES), redis1="redis2", redis2="redis2") == []


def test_the_configuration_says_the_role_where_everybody_was_asked() -> None:
    (configure,) = tasks("redis/tasks/configure.yml")
    assert "role_to_set" in configure["taskqueue.stack.redis_config"]["set_role"]


def test_a_sentinel_is_told_nothing_that_is_not_certain() -> None:
    names = [name for task in tasks("redis_sentinel/tasks/run.yml") for name in task if "." in name]
    assert names[:3] == ["taskqueue.stack.redis_replication_info", "ansible.builtin.fail", "taskqueue.stack.redis_sentinel"]
    asked, refusal = tasks("redis_sentinel/tasks/run.yml")[:2]
    # The files of the servers are on other hosts.
    assert "own" not in asked["taskqueue.stack.redis_replication_info"]
    results = [{"problem": ""}, {"problem": "nobody knows"}]
    found = NativeEnvironment().from_string(refusal["vars"]["__redis_sentinel_problems"]).render(__redis_sentinel_asked={"results": results})
    assert list(found) == ["nobody knows"]
