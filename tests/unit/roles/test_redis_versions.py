# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version the other hosts are told: the one that a host is going to have, where it is yet to be installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from .templating import evaluate, holds, load, task

ROLE = Path(__file__).parents[3] / "roles/redis"


def decide(**variables: object) -> str:
    expressions = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    return str(NativeEnvironment().from_string(expressions["__redis_version_to_be"]).render(**variables)).strip()


@pytest.mark.parametrize(
    ("to_install", "just", "stream", "told"),
    [
        (False, {"skipped": True}, "", "6.2.14"),
        (True, None, "", "6.2"),
        # 6.2 is installed, and 7 is to be, be that 7.0 or 7.2.
        (True, None, "7", "7"),
        # It has been, since the host was asked.
        (True, {"stdout": "Redis server v=7.2.4"}, "7", "6.2.14"),
    ],
)
def test_the_version_that_a_host_is_going_to_have(to_install: bool, just: dict | None, stream: str, told: str) -> None:
    asked = {} if just is None else {"__redis_just_installed": just}
    assert decide(__redis_version="6.2.14", __redis_version_packaged="6.2", __redis_to_install=to_install, redis_module_stream=stream, **asked) == told


def test_an_upgrade_proves_the_configuration_on_the_new_program_before_it_restarts() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/upgrade.yml").read_text(encoding="utf-8"))
    names = [task["name"] for task in tasks]
    packages, asked, proven, restarted = (
        next(number for number, name in enumerate(names) if name.startswith(start))
        for start in ("Bring the packages", "Ask which version it is now", "Prove the configuration", "Restart the service")
    )
    assert packages < asked < proven < restarted
    assert tasks[proven]["ansible.builtin.include_tasks"]["apply"]["check_mode"] is True


def test_an_upgrade_that_was_cut_off_is_not_refused_for_what_it_is_about_to_mend() -> None:
    plays = yaml.safe_load((ROLE / "../../playbooks/in_turns.yml").read_text(encoding="utf-8"))
    redis = [play for play in plays if "redis" in play["hosts"] and "redis_sentinel" not in play["hosts"]]
    assert [play["vars"]["__redis_upgrading"] for play in redis] == [True] * 2


NEWER = {"stdout": "Redis server v=7.0.16 sha=00000000:0"}
HOST = {"packages": {"redis-server": "installed"}, "versions": {"/usr/bin/redis-server": "Redis server v=7.0.15 sha=00000000:0"}}
VARIABLES = ("redis/defaults/main.yml", "redis/vars/main.yml", "redis/vars/Debian.yml")


@pytest.mark.parametrize(
    ("variables", "included", "asked"),
    [
        # A run without updates has no task more.
        ({}, False, False),
        # One whose updates bring nothing, no question.
        ({"redis_os_update": True}, True, False),
        ({"redis_os_update": True, "__os_update_changed": False}, True, False),
        ({"redis_os_update": True, "__os_update_changed": True}, True, True),
        # Celery's play comes before Redis's, and without Sentinels it updates servers that replicate each other, too.
        ({"__os_update_changed": True}, True, True),
        ({"__os_update_changed": True, "redis_replication": True, "redis_os_update": True}, True, True),
        ({"__os_update_changed": False}, False, False),
    ],
)
def test_a_redis_that_the_system_s_update_brought_is_known(variables: dict, included: bool, asked: bool) -> None:
    given = {"redis_flavor": "redis", "__redis_host": HOST, **variables}
    install, ask = task("redis/tasks/set_up.yml", "Install Redis"), task("redis/tasks/install.yml", "Ask which version that gave")
    assert holds(install["when"], *VARIABLES, **given) is included
    # What would lead there.
    set_up = task("redis/tasks/provision.yml", "Install, configure and run Redis")
    in_force = {"__redis_run": {"in_force": True}}
    assert holds(set_up["when"], *VARIABLES, **{**given, **in_force, "__redis_host": {**HOST, "selinux": {"enabled": False}}}) is included
    assert holds(ask["when"], *VARIABLES, **given) is asked
    answer = NEWER if asked else {"skipped": True}
    assert evaluate("{{ __redis_version }}", *VARIABLES, **{**given, ask["register"]: answer}) == ("7.0.16" if asked else "7.0.15")


@pytest.mark.parametrize("system", ["Debian", "RedHat"])
@pytest.mark.parametrize(
    ("before", "changed", "known"),
    [({}, False, False), ({}, True, True), ({"__os_update_changed": True}, False, True), ({"__os_update_changed": False}, False, False)],
)
def test_a_second_update_in_a_run_forgets_nothing_of_the_first(system: str, before: dict, changed: bool, known: bool) -> None:
    tasks = load(f"os_update/tasks/{system}.yml")
    (update,) = (each for each in tasks if each["name"].startswith("Upgrade every package"))
    (remember,) = (each["ansible.builtin.set_fact"] for each in tasks if "ansible.builtin.set_fact" in each)
    assert holds(remember["__os_update_changed"].strip("{} "), **{**before, update["register"]: {"changed": changed}}) is known


@pytest.mark.parametrize(
    ("family", "versions", "begins"),
    [("Debian", {}, True), ("Debian", {"/usr/bin/redis-server": "Redis server v=7.0.15"}, False), ("RedHat", {}, False)],
)
def test_the_package_index_is_fetched_while_the_input_is_checked(family: str, versions: dict, begins: bool) -> None:
    names = [each["name"] for each in load("redis/tasks/assert.yml")]
    (ahead,) = (each for each in load("redis/tasks/assert.yml") if each.get("ansible.builtin.include_tasks") == "ahead.yml")
    begin = "Begin to fetch the package index"
    # Of a host that is refused, not even the index is another one.
    refuse, prove = "Refuse what cannot work or would not be safe", "Prove the configuration, without changing anything"
    assert names.index(refuse) < names.index(ahead["name"]) < names.index(prove)
    host = {"packages": {"redis-server": "installed"} if versions else {}, "versions": versions}
    when = task("redis/tasks/ahead.yml", begin)["when"]
    facts = {"os_family": family}
    assert (holds(ahead["when"], *VARIABLES[:2], __redis_host=host) and holds(when, *VARIABLES[:2], __redis_host=host, ansible_facts=facts)) is begins


@pytest.mark.parametrize("role", ["redis", "celery_app"])
@pytest.mark.parametrize(
    ("index", "waits"), [({}, False), ({"__taskqueue_index": {"skipped": True}}, False), ({"__taskqueue_index": {"ansible_job_id": "j1.2"}}, True)]
)
def test_an_installation_waits_for_the_index_that_is_being_fetched(role: str, index: dict, waits: bool) -> None:
    tasks = load(f"{role}/tasks/install_Debian.yml")
    when = task(f"{role}/tasks/install_Debian.yml", "Wait for the package index, where it is being fetched")["when"]
    assert holds(when, **index) is waits
    # Once in a run; the answer stands for an index that apt has fetched.
    assert not holds(when, __taskqueue_apt={}, **index)
    assert load("os_update/tasks/wait_for_index.yml")[0]["register"] == tasks[-1]["register"] == "__taskqueue_apt"
