# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from an inventory with Sentinels, and when. Whole runs: molecule/ha."""

from __future__ import annotations

import pytest
from ansible_collections.taskqueue.stack.molecule.shared.certificates import Authority

from .templating import ROLES, evaluate, holds, load, task

CELERY_APP = ("celery_app/defaults/main.yml", "celery_app/vars/main.yml")
REDIS = ("redis/defaults/main.yml", "redis/vars/main.yml")
HOSTS = {name: {"ansible_host": f"198.51.100.{number}", "redis_address": f"192.0.2.{number}"} for number, name in enumerate(["redis1", "redis2", "redis3"], 1)}
GROUPS = {"redis": ["redis1", "redis2"], "redis_sentinel": list(HOSTS), "celery_worker": ["worker1"], "all": [*HOSTS, "worker1"]}


def settings(**variables: object) -> dict:
    hosts = {name: {**its, "redis_tls_port": 6380, "redis_sentinel_password": "s3cret"} for name, its in HOSTS.items()}
    return evaluate(
        "{{ __celery_app_sentinel_settings }}", *CELERY_APP,
        **{"groups": GROUPS, "hostvars": hosts, "inventory_hostname": "worker1", "role_path": "", "celery_app_redis_host": "redis1", **variables},
    )


def test_results_go_through_sentinels_as_the_broker_does() -> None:
    found = settings()
    assert found["result_backend_transport_options"]["master_name"] == found["broker_transport_options"]["master_name"] == "mymaster"
    assert found["redis_backend_use_ssl"] == found["broker_use_ssl"]
    # Every result is stored in the end, within a second of there being a primary.
    assert (found["result_backend_always_retry"], found["result_backend_max_sleep_between_retries_ms"]) == (True, 1000)


@pytest.mark.parametrize("backend", ["redis://cache/1", "rpc://", "db+postgresql://results/x"])
def test_a_result_backend_of_one_s_own_is_spoken_to_as_it_says(backend: str) -> None:
    assert set(settings(celery_app_result_backend=backend)) == {"broker_transport_options", "broker_use_ssl"}


@pytest.mark.parametrize(
    ("backend", "theirs"),
    [
        ("sentinel://elsewhere:26379/0", True),
        ("sentinel://:192.0.2.1@elsewhere:26379/192.0.2.1;sentinel://192.0.2.11:26379", True),
        # These Sentinels, by another database.
        ("sentinel://:pass@192.0.2.1:26379/3;sentinel://:pass@192.0.2.2:26379/3", False),
        ("sentinel://192.0.2.2", False),
        ("sentinel://[192.0.2.2]:26379", False),
        ("", False),
    ],
)
def test_sentinels_of_somebody_else_are_told_no_password_of_these(backend: str, theirs: bool) -> None:
    found = settings(celery_app_result_backend=backend)
    assert ("result_backend_transport_options" not in found) is theirs
    assert str(found).count("s3cret") == (1 if theirs else 2)


@pytest.mark.parametrize(("name", "refused"), [("redis2", False), ("redis3", True)])
def test_refuses_a_server_that_nobody_watches_any_more(name: str, refused: bool) -> None:
    refuse = task("celery_app/tasks/assert.yml", "Refuse what cannot work or would not be safe")["vars"]
    condition = next(each for each in refuse["__celery_app_problems"].split("\n\n") if "no Sentinel watches" in each)
    hosts = {name: {**its, "redis_bind": ["0.0.0.0"]} for name, its in HOSTS.items()}
    given = {"groups": GROUPS, "hostvars": hosts, "inventory_hostname": "worker1", "celery_app_redis_host": name, "celery_app_broker_url": ""}
    said = str(evaluate(condition, *CELERY_APP, **given) or "").strip()
    assert bool(said) is refused, said
    assert not refused or "celery_app_redis_host is redis3" in said and "redis1, redis2" in said


@pytest.mark.parametrize(("name", "sentinels", "refused"), [("redis1", [], True), ("redis2", [], False), ("redis1", ["redis1"], False)])
def test_refuses_a_replica_as_the_broker_where_nobody_says_who_the_primary_is(name: str, sentinels: list[str], refused: bool) -> None:
    refuse = task("celery_app/tasks/assert.yml", "Refuse what cannot work or would not be safe")["vars"]
    condition = next(each for each in refuse["__celery_app_problems"].split("\n\n") if "a replica of" in each)
    hosts = {each: {**its, "redis_bind": ["0.0.0.0"], "__redis_replication_info": {"primary": "redis2"}} for each, its in HOSTS.items()}
    given = {"groups": {**GROUPS, "redis_sentinel": sentinels}, "hostvars": hosts, "celery_app_redis_host": name, "celery_app_broker_url": ""}
    said = " ".join(str(evaluate(condition, *CELERY_APP, **given) or "").split())
    assert bool(said) is refused, said
    assert not refused or "write celery_app_redis_host: redis2" in said


@pytest.mark.parametrize(("primary", "shared"), [("mymaster", "worker2"), ("second", "")])
def test_servers_of_one_primary_are_one_database(primary: str, shared: str) -> None:
    groups = {**GROUPS, "celery_worker": ["worker1", "worker2"]}
    hosts = {**HOSTS, "redis2": {**HOSTS["redis2"], "redis_primary_name": primary}, "worker1": {}, "worker2": {"celery_app_redis_host": "redis2"}}
    given = {"groups": groups, "hostvars": hosts, "inventory_hostname": "worker1", "role_path": "", "celery_app_redis_host": "redis1"}
    assert str(evaluate("{{ __celery_app_sharing }}", *CELERY_APP, **given) or "").strip() == shared
    # Without Sentinels each is a server of its own.
    groups = {**groups, "redis_sentinel": []}
    assert str(evaluate("{{ __celery_app_sharing }}", *CELERY_APP, **{**given, "groups": groups}) or "").strip() == ""


@pytest.mark.parametrize(
    ("sentinels", "environment", "turns"),
    [
        # The switch to Sentinels, and what else changes where they are: the file before is kept.
        ([{"host": "redis1"}], {"changed": True, "backup_file": "/etc/celery/celery.env.previous"}, 1),
        # A new host has no tasks to go on with.
        ([{"host": "redis1"}], {"changed": True}, 0),
        ([{"host": "redis1"}], {"changed": False}, 0),
        ([], {"changed": True, "backup_file": "/etc/celery/celery.env.previous"}, 0),
    ],
)
def test_hosts_take_turns_when_what_they_run_changes(sentinels: list, environment: dict, turns: int) -> None:
    run = task(
        "celery_worker/tasks/run.yml",
        "Run the workers, and no others{{ ', and prove each by a task that comes back' if __celery_worker_proof else '' }}",
    )
    given = {"__celery_app_sentinels": sentinels, "__celery_app_release": {"environment_file": environment}}
    assert int(evaluate(run["throttle"], **given)) == turns


@pytest.mark.parametrize(
    ("changed", "asked_for", "program", "restarted"),
    [
        (False, False, "/usr/bin/redis-server", False),
        (True, False, "/usr/bin/redis-server", True),
        (False, True, "/usr/bin/redis-server", True),
        # With Redis's package came Sentinel's.
        (False, False, "/usr/bin/redis-server (deleted)", True),
        # It is new: there is nothing that could restart, and on RHEL it would start with the package's file.
        (False, True, "", False),
        (True, False, "", False),
    ],
)
def test_a_sentinel_is_restarted_on_its_new_program(changed: bool, asked_for: bool, program: str, restarted: bool) -> None:
    restart = task("redis_sentinel/tasks/upgrade.yml", "Restart Sentinel on the new program")
    given = {
        "__redis_upgraded": {"changed": changed}, "redis_upgrade_restart": asked_for, "__redis_sentinel_running": {"stdout": program},
    }
    assert holds(restart["when"], **given) is restarted


def admitted(**variables: object) -> list[str]:
    return evaluate("{{ __redis_client_addresses }}", *REDIS, **{"groups": GROUPS, "hostvars": {**HOSTS, "worker1": {}}, **variables})


def test_servers_and_sentinels_are_admitted_by_the_address_they_call_from() -> None:
    assert sorted(admitted()) == ["192.0.2.2", "192.0.2.3", "198.51.100.2", "198.51.100.3", "worker1"]
    hosts = {**HOSTS, "redis3": {**HOSTS["redis3"], "redis_sentinel_address": "203.0.113.3"}, "worker1": {}}
    assert sorted(admitted(hostvars=hosts)) == ["192.0.2.2", "198.51.100.2", "198.51.100.3", "203.0.113.3", "worker1"]


def test_servers_that_do_not_replicate_are_no_clients_of_each_other_s_addresses() -> None:
    groups = {name: hosts for name, hosts in GROUPS.items() if name != "redis_sentinel"}
    assert sorted(admitted(groups=groups)) == ["198.51.100.2", "worker1"]


SENTINEL = (*REDIS, "redis_sentinel/defaults/main.yml", "redis_sentinel/vars/main.yml")
AUTHORITY = Authority()


def certificate_for(purpose: str) -> dict[str, str]:
    certificate, key = AUTHORITY.issue("redis1.example.com", purpose=purpose)
    return {"redis_address": "redis1.example.com", "redis_tls_certificate": certificate, "redis_tls_key": key, "redis_tls_ca": AUTHORITY.pem}


def problems(one_host: dict | None = None, **variables: object) -> str:
    """What redis_sentinel refuses on redis1, of three servers with a Sentinel each."""
    refuse = task("redis_sentinel/tasks/assert.yml", "Refuse what cannot work or would not be safe")
    common = {"redis_bind": ["0.0.0.0"], "redis_password": "s3cret", "redis_sentinel_password": "s3cret", **variables}
    hosts = {name: {"inventory_hostname": name, **its, **common} for name, its in HOSTS.items()}
    hosts["redis2"].update(one_host or {})
    given = {
        **refuse["vars"], "groups": {**GROUPS, "redis": list(HOSTS)}, "hostvars": hosts, **hosts["redis1"], "__redis_version": "7.0.15",
        "ansible_facts": {"os_family": "Debian"}, "__redis_sentinel_host": {"addresses": {"redis1.example.com": "127.0.1.1"}, "files": []},
        "role_path": str(ROLES / "redis_sentinel"),
    }
    given["redis_sentinel_address"] = variables.get("redis_sentinel_address", given["redis_address"])
    return evaluate(refuse["ansible.builtin.fail"]["msg"], *SENTINEL, **given) if holds(refuse["when"], *SENTINEL, **given) else ""


@pytest.mark.parametrize(
    ("one", "other", "asked"),
    [
        ("yes", "yes", "yes"), (True, "yes", "yes"), (False, "no", "no"), ("optional", "optional", "optional"), (None, None, "no"),
        # Workers of both ask these Sentinels.
        ("yes", None, "optional"), ("yes", False, "optional"),
    ],
)
def test_a_sentinel_asks_of_clients_what_all_of_them_have(one: object, other: object, asked: str) -> None:
    hosts = {"redis1": {}, "redis2": {"redis_primary_name": "second"}}
    for its, value in zip(hosts.values(), (one, other)):
        its.update({} if value is None else {"redis_tls_auth_clients": value})
    assert evaluate("{{ __redis_sentinel_tls_clients }}", *SENTINEL, groups=GROUPS, hostvars=hosts) == asked


def test_refuses_nothing_that_works() -> None:
    assert problems() == ""
    assert problems(**certificate_for("server client"), redis_tls_port=6380, redis_tls_auth_clients="yes") == ""
    assert problems(**certificate_for("server"), redis_tls_port=6380, redis_tls_auth_clients="no") == ""


@pytest.mark.parametrize("bind", [["0.0.0.0"], ["*"], ["127.0.0.1", "127.0.1.1", "192.0.2.1"]])
def test_a_name_that_stands_for_loopback_on_its_own_host_is_no_problem_where_that_is_listened_on(bind: list) -> None:
    assert problems(redis_address="redis1.example.com", redis_bind=bind) == ""


@pytest.mark.parametrize(
    ("one_host", "variables", "words"),
    [
        # As Debian's installer and cloud-init write it.
        ({}, {"redis_sentinel_address": "redis1.example.com", "redis_sentinel_bind": ["localhost", "192.0.2.1"]},
         ["redis_sentinel_address is redis1.example.com", "takes for 127.0.1.1 (/etc/hosts)", "add 127.0.1.1 to redis_sentinel_bind"]),
        ({"redis_replication": False}, {}, ["redis_replication is false (redis2)", "take the place"]),
        ({"redis_tls_port": 6380, "redis_primary_name": "second"}, {}, ["redis_tls_port is set on 1 of the 3 servers", "the whole group redis"]),
        ({}, {**certificate_for("server"), "redis_tls_port": 6380, "redis_tls_auth_clients": "yes"},
         ["redis_sentinel_tls_certificate is for servers alone", "serverAuth and clientAuth"]),
        ({}, {**certificate_for("server"), "redis_tls_port": 6380, "redis_tls_auth_clients": "optional"}, ["is for servers alone"]),
    ],
)
def test_refuses_what_would_be_down_for_a_sentinel(one_host: dict, variables: dict, words: list[str]) -> None:
    said = problems(one_host, **variables)
    assert [word for word in words if word not in said] == [], said


def test_each_problem_has_a_line_of_its_own() -> None:
    said = problems({"redis_replication": False}, redis_sentinel_quorum=9).splitlines()
    assert [line.partition(" is ")[0] for line in said] == ["redis_sentinel_quorum", "redis_replication"]
    said = problems(redis_sentinel_quorum="some", redis_sentinel_port="any").splitlines()
    assert len(said) == 2 and "redis_sentinel_quorum" in "".join(said), said


@pytest.mark.parametrize(
    ("variables", "refused"),
    [
        ({}, True),
        ({"redis_bind": ["0.0.0.0"]}, False),
        ({"redis_bind": ["127.0.0.1", "127.0.1.1", "192.0.2.1"]}, False),
        ({"redis_bind": ["localhost", "192.0.2.1"], "__redis_host": {"addresses": {"redis1.example.com": "127.0.0.1"}}}, False),
        ({"__redis_host": {"addresses": {"redis1.example.com": "192.0.2.1"}}}, False),
        ({"__redis_host": {"addresses": {}}}, False),
        # Nobody calls it by that.
        ({"redis_replication": False}, False),
    ],
)
def test_refuses_a_name_that_a_server_itself_takes_for_loopback(variables: dict, refused: bool) -> None:
    """As Debian's installer and cloud-init write it, also where the Sentinels are elsewhere."""
    refuse = task("redis/tasks/assert.yml", "Refuse what cannot work or would not be safe")["vars"]
    condition = next(each for each in refuse["__redis_problems"].split("\n\n") if "itself takes for" in each)
    given = {
        "groups": GROUPS, "hostvars": HOSTS, "redis_address": "redis1.example.com", "redis_bind": ["127.0.0.1", "192.0.2.1"], "redis_password": "s3cret",
        "__redis_host": {"addresses": {"redis1.example.com": "127.0.1.1"}}, "__redis_version": "7.0.15", **variables,
    }
    said = str(evaluate(condition, *REDIS, **given) or "").strip()
    assert bool(said) is refused, said
    assert not said or "add 127.0.1.1 to redis_bind" in said


@pytest.mark.parametrize(
    ("groups", "variables", "names"),
    [
        ({"redis": ["redis1"], "redis_sentinel": ["s1"]}, {}, ["redis1.example.com"]),
        ({"redis": ["redis1"]}, {"redis_replication": True}, ["redis1.example.com"]),
        # A name server that is away would be waited for.
        ({"redis": ["redis1"]}, {}, []),
        ({"redis": ["redis2"], "redis_sentinel": ["redis1"]}, {}, []),
    ],
)
def test_a_name_is_looked_up_where_somebody_calls_by_it(groups: dict, variables: dict, names: list) -> None:
    (ask,) = (each for each in load("redis/tasks/set_vars.yml") if "taskqueue.stack.host_facts" in each)
    found = evaluate(ask["taskqueue.stack.host_facts"]["names"], *REDIS, **{"groups": groups, "redis_address": "redis1.example.com", **variables})
    assert found == names


@pytest.mark.parametrize(
    ("options", "variables", "words"),
    [
        ({"broker_transport_options": {"master_name": "mymastre"}}, {}, ["master_name: mymastre in broker_transport_options", "mymaster, second"]),
        ({"result_backend_transport_options": {"master_name": "other"}}, {}, ["master_name: other in result_backend_transport_options"]),
        ({"broker_transport_options": {"master_name": "second"}}, {}, []),
        ({"broker_transport_options": {"socket_timeout": 9}}, {}, []),
        # Sentinels of somebody else know their own.
        ({"result_backend_transport_options": {"master_name": "other"}}, {"celery_app_result_backend": "sentinel://elsewhere:26379"}, []),
        ({"broker_transport_options": {"master_name": "other"}}, {"celery_app_broker_url": "sentinel://elsewhere:26379"}, []),
    ],
)
def test_refuses_a_primary_that_nobody_watches(options: dict, variables: dict, words: list[str]) -> None:
    refuse = task("celery_app/tasks/assert.yml", "Refuse what cannot work or would not be safe")["vars"]
    condition = next(each for each in refuse["__celery_app_problems"].split("\n\n") if "__celery_app_primary_names" in each)
    hosts = {**HOSTS, "redis2": {**HOSTS["redis2"], "redis_primary_name": "second"}, "worker1": {}}
    given = {"celery_app_broker_url": "", "celery_app_result_backend": "", **variables, "celery_app_settings": options}
    names = {name: value for name, value in refuse.items() if name.startswith(("__celery_app_primary", "__celery_app_sentinel"))}
    said = str(evaluate(condition, *CELERY_APP, **{**names, "groups": GROUPS, "hostvars": hosts, **given}) or "").strip()
    assert [word for word in words if word not in said] == [] and bool(said) is bool(words), said


@pytest.mark.parametrize(("name", "sentinels", "updated"), [("redis1", ["s1"], False), ("s1", ["s1"], False), ("worker1", ["s1"], True), ("redis1", [], True)])
def test_what_fails_over_is_not_updated_all_at_once(name: str, sentinels: list[str], updated: bool) -> None:
    groups = {"redis": ["redis1"], "redis_sentinel": sentinels}
    given = {"groups": groups, "inventory_hostname": name, "celery_app_os_update": True}
    assert evaluate("{{ __celery_app_os_update | bool }}", *CELERY_APP, **given) is updated


@pytest.mark.parametrize(("replicates", "installed", "updated"), [(True, "", True), (True, "v=7.0.15", False), (False, "v=7.0.15", True)])
def test_servers_that_replicate_are_updated_in_turns(replicates: bool, installed: str, updated: bool) -> None:
    given = {"redis_os_update": True, "redis_replication": replicates, "__redis_installed_version": installed}
    assert evaluate("{{ __redis_os_update | bool }}", *REDIS, **given) is updated


@pytest.mark.parametrize("there", [[], ["/etc/ssl/ca.crt"]])
def test_refuses_a_certificate_that_a_host_of_a_sentinel_lacks(there: list[str]) -> None:
    refuse = next(each for each in load("redis_sentinel/tasks/assert.yml") if each["name"].startswith("Refuse"))["vars"]
    condition = next(each for each in refuse["__redis_sentinel_problems"].split("\n\n") if "no such file" in each)
    given = {"redis_sentinel_tls_ca": "/etc/ssl/ca.crt", "__redis_sentinel_tls": True, "__redis_sentinel_host": {"files": there}}
    said = str(evaluate(condition, "redis_sentinel/defaults/main.yml", "redis_sentinel/vars/main.yml", **given) or "").strip()
    assert ("/etc/ssl/ca.crt" in said) is not bool(there), said
