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
        of_role = yaml.safe_load((ROLES / "redis/vars/main.yml").read_text(encoding="utf-8"))
        for name in ("__redis_asked", "__redis_said", "__redis_told"):
            self.variables[name] = self.render(of_role[name])

    def render(self, text: str, **more: object) -> object:
        return self.environment.from_string(text).render(**self.variables, **more)

    def looks_closer(self) -> bool:
        """What is given to an include would be the same name's value in what it includes."""
        closer = tasks("redis/tasks/replication.yml")[1]
        assert "vars" not in closer
        assert closer["when"][0] == "not __redis_asks_again | default(false)"
        return self.render("{{ " + closer["when"][1] + " }}")

    def problems(self) -> list[str]:
        refusal = tasks("redis/tasks/replication_doubts.yml")[1]
        assert refusal["when"] == "__redis_replication_problems | length > 0"
        return self.render(refusal["vars"]["__redis_replication_problems"])


def found(primary: str, *told: str, problem: str = "") -> dict:
    nodes = [{"name": name, "answers": True, "keys": 1, "version": "7.0.15"} for name in NAMES]
    said = {"problem": problem, "told": [{"name": name} for name in told], "primary": primary, "source": "sentinels", "nodes": nodes}
    return {**said, "has_data": True, "version": "7.0.15"}


def problems(batch: list[str], **primaries: str) -> list[str]:
    """What redis1 is told when each of these hosts has found that primary, and these have their turn at the same time."""
    roles = Roles(batch, {name: found(primary) for name, primary in primaries.items()})
    assert roles.looks_closer() == bool(roles.problems())
    return roles.problems()


def test_hosts_that_find_different_primaries_stop() -> None:
    (problem,) = problems(list(NAMES), redis1="redis1", redis2="redis2", redis3="redis2")
    assert "find different primaries" in problem


def test_what_was_so_before_a_hand_over_is_not_compared() -> None:
    assert problems(["redis1"], redis1="redis2", redis2="redis1") == []


def test_hosts_that_agree_or_were_not_asked_go_on() -> None:
    assert problems(list(NAMES), redis1="redis2", redis2="redis2") == []


def test_all_look_closer_where_one_is_in_doubt() -> None:
    asked = tasks("redis/tasks/replication.yml")[0]
    again = tasks("redis/tasks/replication_doubts.yml")[0]
    roles = Roles(list(NAMES), {"redis1": found("redis1"), "redis2": found("redis1", "redis2", problem="no")})
    # The other does, too, and hears what that one's server says to its own host.
    assert roles.looks_closer() is True
    assert roles.problems() == []
    told = roles.render(asked["taskqueue.stack.redis_replication_info"]["told"])
    assert [each["name"] for each in told] == ["redis2"]
    # Once, and without waiting.
    assert again["vars"]["__redis_asks_again"] is True
    assert again["vars"]["__redis_replication_wait"] == 0


def test_the_configuration_says_the_role_where_everybody_was_asked() -> None:
    (configure,) = tasks("redis/tasks/configure.yml")
    assert "role_to_set" in configure["taskqueue.stack.redis_config"]["set_role"]


def test_a_sentinel_is_told_nothing_that_is_not_certain() -> None:
    names = [name for task in tasks("redis_sentinel/tasks/run.yml") for name in task if "." in name]
    assert names[:3] == ["ansible.builtin.import_tasks", "ansible.builtin.fail", "taskqueue.stack.redis_sentinel"]
    assert tasks("redis_sentinel/tasks/run.yml")[0]["ansible.builtin.import_tasks"] == "ask.yml"
    (asked,) = tasks("redis_sentinel/tasks/ask.yml")
    # The files of the servers are on other hosts.
    assert "own" not in asked["taskqueue.stack.redis_replication_info"]
    assert sentinel_problems({"redis1": sentinels_found("redis1", problem="nobody knows")}) == "nobody knows"


def sentinels_found(primary: str, *agreeing: str, answering: tuple[str, ...] = NAMES, problem: str = "") -> list[dict]:
    nodes = [{"name": name, "answers": name in answering} for name in NAMES[:2]]
    return [{"item": "mymaster", "primary": primary, "problem": problem, "agreeing": list(agreeing), "nodes": nodes}]


def of_sentinels(task: dict, variable: str, results: dict[str, list[dict]], hosts: tuple[str, ...] = NAMES, servers: tuple[str, ...] = ()) -> str:
    """A variable of a task of the role redis_sentinel, on redis1."""
    environment = NativeEnvironment()
    environment.filters.update({
        "extract": lambda key, container: container[key], "flatten": lambda lists: [each for one in lists for each in one],
        "difference": lambda ours, theirs: [each for each in ours if each not in theirs],
        "intersect": lambda ours, theirs: [each for each in ours if each in theirs],
    })
    known = {name: {"inventory_hostname": name} for name in NAMES}
    for name, its in results.items():
        known[name]["__redis_sentinel_asked"] = {"results": its}
    for name in servers:
        known[name]["__redis_replication_info"] = {}
    variables = {
        "inventory_hostname": "redis1", "hostvars": known, "ansible_play_batch": list(hosts), "ansible_play_hosts_all": list(hosts),
        "groups": {"redis": NAMES[:2]}, "__redis_sentinels": [{"name": name} for name in NAMES], "__redis_sentinel_majority": 2,
        "__redis_sentinel_service": "redis-sentinel", **known["redis1"],
    }
    for name, value in task["vars"].items():
        texts = value if isinstance(value, list) else [value]
        rendered = [environment.from_string(text).render(**variables) for text in texts]
        variables[name] = rendered if isinstance(value, list) else rendered[0]
    return variables[variable]


def sentinel_problems(results: dict[str, list[dict]], hosts: tuple[str, ...] = NAMES) -> str:
    found = of_sentinels(tasks("redis_sentinel/tasks/run.yml")[1], "__redis_sentinel_problems", results, hosts)
    return " ".join(" ".join(found).split())


def test_sentinels_hosts_that_find_different_primaries_stop() -> None:
    agreed = {"redis1": sentinels_found("redis1", "redis1"), "redis2": sentinels_found("redis1")}
    assert sentinel_problems(agreed) == ""
    said = sentinel_problems({**agreed, "redis3": sentinels_found("redis2", "redis2", "redis3")})
    assert "redis1 finds the primary mymaster to be redis1, and other hosts of the group redis_sentinel redis2:" in said


def test_a_sentinel_alone_wants_a_majority() -> None:
    """Nobody else takes part who could contradict."""
    said = sentinel_problems({"redis1": sentinels_found("redis1", "redis2")}, hosts=("redis1",))
    assert "Of 3 Sentinels, redis1 can ask only redis2" in said and "leaves out redis2, redis3" in said
    assert sentinel_problems({"redis1": sentinels_found("redis1", "redis2", "redis3")}, hosts=("redis1",)) == ""
    # The first run, in which nobody is watched yet; and one that was cut off.
    assert sentinel_problems({"redis1": sentinels_found("redis1")}, hosts=("redis1",)) == ""
    assert sentinel_problems({"redis1": sentinels_found("redis1", "redis2")}) == ""


def alone(servers: tuple[str, ...], answering: tuple[str, ...]) -> list[str]:
    prove = tasks("redis_sentinel/tasks/prove.yml")[0]
    assert prove["taskqueue.stack.redis_sentinel_quorum"]["alone"] == "{{ __redis_sentinel_alone }}"
    return of_sentinels(prove, "__redis_sentinel_alone", {"redis1": sentinels_found("redis1", answering=answering)}, servers=servers)


def test_the_last_server_left_is_looked_after_alone() -> None:
    assert alone(servers=("redis1",), answering=("redis1",)) == ["mymaster"]
    # It is left out, and there; or it takes part, and has to be seen; or nobody has looked.
    assert alone(servers=("redis1",), answering=("redis1", "redis2")) == []
    assert alone(servers=("redis1", "redis2"), answering=("redis1",)) == []
    assert alone(servers=(), answering=("redis1",)) == []
