"""Two hosts are redeployed three times under load, once with a release that has to be gone back from: no task is lost or runs twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORY = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], ".cache/testbed/deploy/inventory")
HOSTS = ["worker1", "worker2"]
TASKS, PER_SECOND = 5000, 40
# What is still to be done when the last task has been sent: ETAs, and the long ones. Much more than it takes on a quiet machine.
PATIENCE = 300


class Bed:
    """The hosts, as a person at the control node works with them."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace

    def playbook(self, name: str, *arguments: str) -> subprocess.CompletedProcess:
        command = ["ansible-playbook", f"--inventory={INVENTORY}", name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def deploy(self, release: str, **variables: object) -> subprocess.CompletedProcess:
        source = self._workspace / release
        shutil.copytree(SCENARIO / "app", source)
        module = source / "deploy_proof.py"
        module.write_text(module.read_text().replace('RELEASE = "1"', f'RELEASE = "{release}"'))
        extra = json.dumps({"celery_app_source": str(source), **variables})
        return self.playbook("taskqueue.stack.deploy", f"--extra-vars={extra}")

    def shell(self, host: str, command: str) -> str:
        arguments = ["ansible", f"--inventory={INVENTORY}", host, "--become", "--one-line", "--module-name=ansible.builtin.shell", f"--args={command}"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.partition("(stdout)")[2].strip().replace("\\n", "\n")

    def release(self, host: str) -> str:
        return self.shell(host, "basename $(readlink /opt/celery/current)")

    def running(self, host: str) -> dict[str, str]:
        """The release that each worker of a host runs."""
        units = "systemctl show --property=Id,MainPID celery-worker@*.service"
        pids = dict(block.split("\n")[::-1] if block.startswith("MainPID") else block.split("\n") for block in self.shell(host, units).split("\n\n"))
        return {unit: self.shell(host, f"cat /proc/{pid.partition('=')[2]}/cmdline") for unit, pid in pids.items()}
