# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a turn in restart, upgrade and os_update, when a primary hands over, and what restore does with Sentinels. Whole runs: molecule/ha."""

from __future__ import annotations

import pytest

from .templating import evaluate, holds, load, task

SET = [{"name": name, "host": name, "port": 6379} for name in ("redis1", "redis2", "redis3")]
SENTINELS = [{"name": "redis1", "host": "redis1", "port": 26379}]


def plays(name: str) -> dict[str, dict]:
    return {play["name"]: play for play in load(f"../playbooks/{name}.yml")}


def steps(name: str) -> list[dict]:
    """The tasks of a file in their order, those that it imports among them."""
    folder = name.rpartition("/")[0]
    found = []
    for each in load(name):
        found += steps(f"{folder}/{each['ansible.builtin.import_tasks']}") if "ansible.builtin.import_tasks" in each else [each]
    return found


def step(play: dict, title: str) -> dict:
    (found,) = (each for each in play["tasks"] if each["name"] == title)
    return found


@pytest.mark.parametrize(
    ("limit", "askers"),
    [
        (["redis1", "redis2", "redis3"], ["redis1"]),
        # The primary need not take part, and neither need the first.
        (["redis2"], ["redis2"]),
        (["redis3", "redis2"], ["redis2"]),
    ],
)
@pytest.mark.parametrize("primary", ["redis1", "redis3"])
def test_each_primary_hands_over_once_whoever_takes_part(limit: list, askers: list, primary: str) -> None:
    asks = task("redis/tasks/failover.yml", "Hand over to a replica that has everything")
    given = {**asks["vars"], "__redis_set": SET, "__redis_primary": {"name": primary}, "ansible_play_hosts": limit}
    assert [name for name in limit if holds(asks["when"], **{**given, "inventory_hostname": name})] == askers


@pytest.mark.parametrize(("now", "hands_over"), [("redis3", True), ("redis1", False)])
def test_in_its_turn_nobody_hands_over_for_another(now: str, hands_over: bool) -> None:
    asks = task("redis/tasks/failover.yml", "Hand over to a replica that has everything")
    given = {**asks["vars"], "__redis_set": SET, "__redis_primary": {"name": now}, "ansible_play_hosts": ["redis3"], "redis_turn": "restart"}
    assert holds(asks["when"], **given, inventory_hostname="redis3") is hands_over


@pytest.mark.parametrize(
    ("turn", "replication", "limit", "refused"),
    [
        ("upgrade", True, ["redis1", "redis2", "redis3"], ""),
        ("upgrade", True, ["redis1", "redis3"], "redis2: left out of this run"),
        ("upgrade", False, ["redis1"], ""),
        # These change no version that others have to have.
        ("restart", True, ["redis1"], ""),
        ("os_update", True, ["redis1"], ""),
    ],
)
def test_an_upgrade_is_of_all_servers_of_a_primary(turn: str, replication: bool, limit: list, refused: str) -> None:
    refuses = step(plays("in_turns")["Find out who the primaries are"], "Refuse to upgrade some servers of a primary and others not")
    given = {
        **refuses["vars"], "redis_turn": turn, "redis_replication": replication, "__redis_set": SET, "ansible_play_hosts_all": limit,
        "redis_primary_name": "mymaster",
    }
    said = evaluate(refuses["ansible.builtin.fail"]["msg"], **given) if holds(refuses["when"], **given) else ""
    assert refused in said and bool(said) is bool(refused)


@pytest.mark.parametrize(
    ("replication", "primary", "group"),
    [
        (True, "redis2", "redis_replicas_of_this_run"),
        (True, "redis1", "redis_primaries_of_this_run"),
        # Servers that do not replicate have no primary but themselves.
        (False, "redis2", "redis_primaries_of_this_run"),
    ],
)
def test_replicas_come_first(replication: bool, primary: str, group: str) -> None:
    found = plays("in_turns")
    note = step(found["Find out who the primaries are"], "Note who is a replica")["ansible.builtin.group_by"]["key"]
    assert evaluate(note, redis_replication=replication, __redis_primary={"name": primary}) == group
    hosts = found["Have the servers take their turns, replicas first"]["hosts"]
    both = {"redis_primaries_of_this_run": ["redis1"], "redis_replicas_of_this_run": ["redis2"]}
    assert evaluate(hosts, groups=both) == "redis_replicas_of_this_run:redis_primaries_of_this_run"
    assert evaluate(hosts, groups={"redis_primaries_of_this_run": ["redis1"]}) == "redis_primaries_of_this_run"
    assert evaluate(hosts, groups={}) == "all:!all"


@pytest.mark.parametrize("name", ["restart", "upgrade", "os_update"])
def test_both_roles_have_a_turn_of_that_name(name: str) -> None:
    (turns,) = (each for each in load(f"../playbooks/{name}.yml") if each.get("ansible.builtin.import_playbook") == "in_turns.yml")
    for role in ("redis", "redis_sentinel"):
        assert load(f"{role}/tasks/{turns['vars']['redis_turn']}.yml")
    # Not before the last one has everything again.
    assert {play.get("serial") for title, play in plays("in_turns").items() if "turn" in title} == {1}


@pytest.mark.parametrize("turn", ["main", "restart", "upgrade", "os_update"])
def test_the_proof_of_a_sentinel_has_what_it_needs_in_every_playbook(turn: str) -> None:
    turns = steps(f"redis_sentinel/tasks/{turn}.yml")
    (proof,) = (number for number, each in enumerate(turns) if "taskqueue.stack.redis_sentinel_quorum" in each)
    assert "__redis_sentinel_asked" in turns[proof]["vars"]["__redis_sentinel_alone"]
    assert "__redis_sentinel_asked" in [each.get("register") for each in turns[:proof]]


@pytest.mark.parametrize("turn", ["restart", "upgrade", "os_update"])
def test_who_is_the_primary_is_asked_in_each_turn(turn: str) -> None:
    """What the first play found may be an hour old, and a primary must not restart unless it has handed over."""
    turns = steps(f"redis/tasks/{turn}.yml")
    asked = [number for number, each in enumerate(turns) if each.get("ansible.builtin.include_tasks") == "replication.yml"]
    used = [number for number, each in enumerate(turns) if "__redis_primary" in str(each)]
    assert asked[0] < used[0]


WATCHED = {"redis_replication": True, "__redis_sentinels": SENTINELS, "__redis_primary": {"name": "redis1"}}
UNCHANGED = {"__redis_upgraded": {"changed": False}, "__redis_program": {"stdout": "/usr/bin/redis-server"}, "__redis_run": {"restarted": False}}


@pytest.mark.parametrize(
    ("variables", "hands_over"),
    [
        ({}, False),
        ({"__redis_upgraded": {"changed": True}}, True),
        ({"redis_upgrade_restart": True}, True),
        ({"__redis_program": {"stdout": "/usr/bin/redis-server (deleted)"}}, True),
        # What the inventory has changed takes a restart.
        ({"__redis_run": {"restarted": True}}, True),
        # Not proven yet, as a new series had to come first.
        ({"__redis_run": {}}, True),
        ({"redis_upgrade_restart": True, "inventory_hostname": "redis2"}, False),
        ({"redis_upgrade_restart": True, "__redis_sentinels": []}, False),
        ({"redis_upgrade_restart": True, "redis_replication": False}, False),
        # New, or stopped.
        ({"redis_upgrade_restart": True, "__redis_program": {"stdout": ""}}, False),
    ],
)
def test_a_primary_that_is_to_restart_for_an_upgrade_hands_over_first(variables: dict, hands_over: bool) -> None:
    part = task("redis/tasks/upgrade.yml", "Restart the service where it has to be")
    titles = [each["name"] for each in part["block"]]
    assert titles == ["Hand over to a replica first", "Restart the service on the new program"]
    assert holds([part["when"], part["block"][0]["when"]], **{**part["vars"], **WATCHED, **UNCHANGED, **variables}) is hands_over


@pytest.mark.parametrize(("program", "restarted"), [("/usr/bin/redis-server", True), ("", False)])
def test_what_does_not_run_yet_is_not_restarted(program: str, restarted: bool) -> None:
    part = task("redis/tasks/upgrade.yml", "Restart the service where it has to be")
    given = {**part["vars"], **UNCHANGED, "redis_upgrade_restart": True, "__redis_program": {"stdout": program}}
    assert holds([part["when"], part["block"][1]["when"]], **given) is restarted


@pytest.mark.parametrize(
    ("variables", "hands_over"),
    [
        ({"__os_update_foreseen": {"changed": False}}, False),
        ({"__os_update_foreseen": {"changed": True}}, True),
        # Only the update itself finds out whether it asks for that.
        ({"__os_update_foreseen": {"changed": False}, "os_update_reboot": True}, True),
        # No primary.
        ({"os_update_reboot": True}, False),
    ],
)
def test_a_primary_whose_host_has_something_to_update_hands_over_first(variables: dict, hands_over: bool) -> None:
    assert holds(task("redis/tasks/os_update.yml", "Hand over to a replica first")["when"], **variables) is hands_over


def test_each_host_is_updated_once() -> None:
    hosts = plays("os_update")["Bring every package of the other hosts up to date"]["hosts"]
    groups = {"redis": ["a"], "redis_sentinel": ["a", "b"], "celery_worker": ["a", "b", "c", "d"], "celery_flower": ["c", "e"]}
    assert evaluate(hosts, groups=groups) == "c,d,e"
    assert evaluate(hosts, groups={"celery_worker": ["c"]}) == "c"
    assert evaluate(hosts, groups={"redis": ["a"]}) == "all:!all"


@pytest.mark.parametrize(
    ("packages", "names"),
    [
        (["redis"], ["redis"]),
        # The stream brings a newer series, the package the newest of it.
        (["@redis:7"], ["@redis:7", "redis"]),
    ],
)
def test_a_module_stream_is_upgraded_to_what_it_has_now(packages: list, names: list) -> None:
    brings = task("redis/tasks/newest_RedHat.yml", "Bring the packages up to date with dnf")
    given = {"__redis_to_upgrade": packages}
    assert evaluate(brings["loop"], **given) == names
    assert [evaluate(brings["ansible.builtin.dnf"]["state"], **given, item=name) for name in names[-2:]][-1] == "latest"


@pytest.mark.parametrize("system", ["Debian", "RedHat"])
def test_what_is_newest_is_asked_for_anew(system: str) -> None:
    (brings,) = (each for each in load(f"redis/tasks/newest_{system}.yml") if "environment" in each)
    assert brings.get("ansible.builtin.apt", brings.get("ansible.builtin.dnf"))["update_cache"] is True


def test_the_input_of_sentinels_is_checked_before_servers_are_changed() -> None:
    found = list(plays("redis").values())
    titles = [play["name"] for play in found]
    check = found[titles.index("Check the input of every host before any is changed")]
    assert check["vars"]["checked_groups"] == ["redis", "redis_sentinel"]
    assert titles.index(check["name"]) < titles.index("Run Redis")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"failed": True, "msg": "no snapshot"}, "no snapshot"),
        ({"msg": "One or more items failed", "failed": True, "results": [{"failed": False}, {}, {"failed": True, "msg": "still runs"}]}, "still runs"),
    ],
)
def test_a_restore_says_what_went_wrong(result: dict, words: str) -> None:
    restore = plays("restore")["Restore Redis"]["tasks"][0]
    said = restore["rescue"][0]["ansible.builtin.set_fact"]["__redis_restore_failure"]
    assert evaluate(said, ansible_failed_result=result) == words
    # A Sentinel that still runs is why.
    assert evaluate(said, ansible_failed_result=result, __redis_restore_failure="earlier") == "earlier"


@pytest.mark.parametrize("title", ["Stop the Sentinels", "Start the Sentinels"])
def test_a_sentinel_that_fails_keeps_no_worker_stopped(title: str) -> None:
    (part,) = plays("restore")[title]["tasks"]
    (keep,) = part["rescue"]
    said = keep["ansible.builtin.set_fact"]["__redis_restore_failure"]
    assert evaluate(said, ansible_failed_result={"msg": "Unable to stop service"}) == "Unable to stop service"
    # And it is told in the end, also where there is no server.
    hosts = plays("restore")["Say how it went"]["hosts"]
    assert evaluate(hosts, groups={"redis": ["a"], "redis_sentinel": ["b"], "all": ["a", "b"]}) == "redis:redis_sentinel"
    assert evaluate(hosts, groups={"redis": ["a"]}) == "redis"
    # There is none yet.
    installed = {"__redis_sentinel_program": "/usr/bin/redis-sentinel", "__redis_sentinel_host": {"versions": {"/usr/bin/redis-sentinel": "7"}}}
    assert holds(part["block"][1]["when"], **installed)
    assert not holds(part["block"][1]["when"], **{**installed, "__redis_sentinel_host": {"versions": {}}})


def test_no_sentinel_watches_a_restore() -> None:
    titles = list(plays("restore"))
    order = ["Stop the Sentinels", "Restore Redis", "Start the Sentinels", "Wait for the replicas", "Start the workers"]
    assert [title for title in titles if title in order] == order
    # What a play has loaded, the next one does not know.
    for title in ("Stop the Sentinels", "Start the Sentinels"):
        assert plays("restore")[title]["tasks"][0]["block"][0]["ansible.builtin.include_role"]["tasks_from"] == "set_vars"
    watched = task("redis/tasks/restore.yml", "Make sure that no Sentinel promotes a replica meanwhile")
    assert watched["ansible.builtin.wait_for"]["state"] == "stopped" and evaluate(watched["loop"], __redis_sentinels=SENTINELS) == SENTINELS


def test_a_primary_starts_before_its_replicas() -> None:
    turns = load("redis/tasks/configure_in_turn.yml")
    order = [[name for name in ("redis1", "redis2") if holds(turn["when"], inventory_hostname=name, __redis_primary={"name": "redis2"})] for turn in turns]
    assert order == [["redis2"], ["redis1"]] and {turn["ansible.builtin.include_tasks"] for turn in turns} == {"configure.yml"}
    included = task("redis/tasks/run.yml", "Configure Redis")["ansible.builtin.include_tasks"]
    assert [evaluate(included, redis_replication=each) for each in (True, False)] == ["configure_in_turn.yml", "configure.yml"]
