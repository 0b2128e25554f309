"""A host in several groups of Celery has one release, built and configured once in a run."""

from __future__ import annotations

import json
import os
import subprocess

import pytest


def test_several_roles_ask_for_the_release_once(host, variables):
    groups = {"celery_worker", "celery_beat", "celery_flower"} & set(variables["group_names"])
    if len(groups) < 2:
        pytest.skip("one role has a unit here")
    name = host.backend.host
    done = subprocess.run(
        ["ansible-playbook", f"--inventory={host.backend.ansible_inventory}", f"--limit=localhost,{name}", "taskqueue.stack.celery"],
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout[done.stdout.index("{"):])
    results = [task["hosts"][name] for play in report["plays"] for task in play["tasks"] if name in task["hosts"]]
    assert sum("switched" in result for result in results) == 1
