"""A run that changes nothing may not grow unnoticed: tasks are what a playbook costs, so they are counted, role by role."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter

# Tasks that are not skipped, on one host. Raise one only for what is worth a task on every host of every run.
BUDGET = {"redis": 3, "celery_app": 2, "celery_worker": 1}


def test_a_run_that_changes_nothing_keeps_to_its_budget() -> None:
    inventory = f"{os.environ['MOLECULE_PROJECT_DIRECTORY']}/.cache/testbed/{os.environ['MOLECULE_SCENARIO_NAME']}/inventory"
    done = subprocess.run(
        ["ansible-playbook", f"--inventory={inventory}", "taskqueue.stack.site"],
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout[done.stdout.index("{"):])
    assert {name: stats["changed"] for name, stats in report["stats"].items() if name != "localhost"} == {"ubuntu2404": 0, "rhel9": 0}
    for host in ("ubuntu2404", "rhel9"):
        spent: Counter = Counter()
        for task in (task for play in report["plays"] for task in play["tasks"]):
            role, colon, _name = task["task"]["name"].partition(" : ")
            if colon and host in task["hosts"] and not task["hosts"][host].get("skipped"):
                spent[role.rpartition(".")[2]] += 1
        print(f"{host}: {dict(spent)}")
        assert {role: count for role, count in spent.items() if count > BUDGET.get(role, 0)} == {}, (host, spent)
