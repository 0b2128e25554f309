"""The host comes back by itself after a restart of the whole machine. Its name sorts it behind the others: it is slow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import flavor, redis_cli, result, send, until, workers

testinfra_hosts = ["ansible://all"]

TESTBED = Path(__file__).parents[2] / "molecule" / "shared" / "testbed.py"


def clean_stops(host, variables) -> int:
    """How often Redis took its leave, with all its data on the disk."""
    with host.sudo():
        return host.check_output(f"cat /var/log/{flavor(variables)}/*.log").count("ready to exit, bye bye")


def test_everything_runs_again_after_a_restart_of_the_machine(host, variables):
    name = variables["inventory_hostname"]
    has_redis = name in variables["groups"]["redis"]
    if has_redis:
        assert redis_cli(host, variables, "SET", "kept-over-a-restart", "yes") == ["OK"]
        stops = clean_stops(host, variables)
    subprocess.run([sys.executable, TESTBED, "restart", os.environ["MOLECULE_SCENARIO_NAME"], name], check=True)
    if has_redis:
        until(lambda: redis_cli(host, variables, "GET", "kept-over-a-restart") == ["yes"])
        assert clean_stops(host, variables) == stops + 1
        redis_cli(host, variables, "DEL", "kept-over-a-restart")
        # Asked for by the inventory, and kept by a file: the kernel's own is 4096.
        backlog = int(variables.get("redis_config", {}).get("tcp-backlog", 511))
        assert int(host.file("/proc/sys/net/core/somaxconn").content_string) >= backlog
    if name in variables["groups"]["celery_worker"]:
        for worker in workers(variables):
            task = send(host, "taskqueue_example.add", 1, 1, worker=worker)
            assert result(host, task, timeout=60) == 2
    for unit in ("celery-beat", "celery-flower"):
        if name in variables["groups"].get(unit.replace("-", "_"), []):
            assert host.service(unit).is_running
