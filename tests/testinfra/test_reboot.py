"""The host comes back by itself after a restart of the whole machine. Its name sorts it behind the others: it is slow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import result, send, workers

testinfra_hosts = ["ansible://all"]

TESTBED = Path(__file__).parents[2] / "molecule" / "shared" / "testbed.py"


def test_everything_runs_again_after_a_restart_of_the_machine(host, variables):
    name = variables["inventory_hostname"]
    subprocess.run([sys.executable, TESTBED, "restart", os.environ["MOLECULE_SCENARIO_NAME"], name], check=True)
    if name in variables["groups"]["redis"]:
        assert host.run_test("pidof redis-server valkey-server").succeeded
    if name in variables["groups"]["celery_worker"]:
        for worker in workers(variables):
            task = send(host, "taskqueue_example.add", 1, 1, worker=worker)
            assert result(host, task, timeout=60) == 2
