# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from an inventory with Sentinels, and when. Whole runs: molecule/ha."""

from __future__ import annotations

import pytest

from .templating import evaluate, holds, load, task

CELERY_APP = ("celery_app/defaults/main.yml", "celery_app/vars/main.yml")
REDIS = ("redis/defaults/main.yml", "redis/vars/main/main.yml")
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
    run = task("celery_worker/tasks/run.yml", "Run the workers, and no others")
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
    ],
)
def test_a_sentinel_is_restarted_on_its_new_program(changed: bool, asked_for: bool, program: str, restarted: bool) -> None:
    restart = task("redis_sentinel/tasks/upgrade.yml", "Restart Sentinel on the new program")
    given = {
        "__redis_sentinel_upgraded": {"changed": changed}, "redis_upgrade_restart": asked_for, "__redis_sentinel_running": {"stdout": program},
    }
    assert holds(restart["when"], **given) is restarted
