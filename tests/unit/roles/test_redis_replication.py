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


class Roles:
    """The variables and conditions of the role redis, as one host has them."""

    def __init__(self, batch: list[str], found: dict[str, dict]) -> None:
        self.environment = NativeEnvironment()
        self.environment.filters.update({
            "zip": zip, "extract": lambda key, container: container[key], "flatten": lambda lists: [each for one in lists for each in one],
            "taskqueue.stack.redis_replication_problems": redis_replication_problems,
        })
        self.variables = {
            "__redis_set": [{"name": name} for name in NAMES], "ansible_play_batch": batch, "inventory_hostname": "redis1",
            "redis_primary_name": "mymaster", "__redis_service": "redis",
            "hostvars": {name: {"inventory_hostname": name, **({"__redis_replication_info": found[name]} if name in found else {})} for name in NAMES},
        }
        of_role = yaml.safe_load((ROLES / "redis/vars/main/main.yml").read_text(encoding="utf-8"))
        for name in ("__redis_asked", "__redis_said", "__redis_told"):
            self.variables[name] = self.render(of_role[name])

    def render(self, text: str, **more: object) -> object:
        return self.environment.from_string(text).render(**self.variables, **more)

    def problems(self, task: dict) -> list[str]:
        assert "__redis_replication_problems | length > 0" in task["when"]
        return self.render(task["vars"]["__redis_replication_problems"])


def found(primary: str, *at_home: str, problem: str = "") -> dict:
    nodes = [{"name": name, "answers": True, "at_home": name in at_home, "keys": 1, "version": "7.0.15"} for name in NAMES]
    return {"problem": problem, "primary": primary, "source": "sentinels", "nodes": nodes, "has_data": True, "version": "7.0.15"}


def problems(batch: list[str], **primaries: str) -> list[str]:
    """What redis1 is told when each of these hosts has found that primary, and these have their turn at the same time."""
    roles = Roles(batch, {name: found(primary) for name, primary in primaries.items()})
    closer, refusal = tasks("redis/tasks/replication.yml")[1], tasks("redis/tasks/replication_doubts.yml")[1]
    assert bool(roles.problems(closer)) == bool(roles.problems(refusal))
    return roles.problems(refusal)


def test_hosts_that_find_different_primaries_stop() -> None:
    (problem,) = problems(list(NAMES), redis1="redis1", redis2="redis2", redis3="redis2")
    assert "find different primaries" in problem


def test_what_was_so_before_a_hand_over_is_not_compared() -> None:
    assert problems(["redis1"], redis1="redis2", redis2="redis1") == []


def test_hosts_that_agree_or_were_not_asked_go_on() -> None:
    assert problems(list(NAMES), redis1="redis2", redis2="redis2") == []


def test_all_look_closer_where_one_is_in_doubt() -> None:
    asked, closer = tasks("redis/tasks/replication.yml")
    again, refusal = tasks("redis/tasks/replication_doubts.yml")
    roles = Roles(list(NAMES), {"redis1": found("redis1"), "redis2": found("redis1", "redis2", problem="no")})
    # The other does, too, and hears what that one's server says to its own host.
    assert roles.problems(closer) == ["redis2: no"]
    assert roles.problems(refusal) == []
    told = roles.render(asked["taskqueue.stack.redis_replication_info"]["told"])
    assert [each["name"] for each in told] == ["redis2"]
    # Once, and without waiting.
    assert again["vars"]["__redis_asks_again"] is True
    assert again["vars"]["__redis_replication_wait"] == 0
    assert closer["when"].startswith("not __redis_asks_again | default(false) and")


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
