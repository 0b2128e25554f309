"""The workers get another password while a task runs, as docs/access-control.md says it, and back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

from conftest import redis_cli, result, send

testinfra_hosts = ["ansible://redis"]

INVENTORY = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], ".cache/testbed/secure/inventory")
NEW = "s3cure rotated pass"
# Longer than a play that gives the workers the new password, and less than their stop_timeout.
TASK_LASTS = 40


def playbook(name: str, old: str, **variables: object) -> None:
    """At its most talkative, as what changes a password is where one could be shown."""
    command = ["ansible-playbook", f"--inventory={INVENTORY}", f"--extra-vars={json.dumps(variables)}", "-vvv", "--diff", f"taskqueue.stack.{name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [password for password in (old, NEW, quote(NEW, safe="")) if password in said] == []


def is_valid(host, variables, password: str) -> bool:
    # AUTH as a command: redis-cli's own login ends with an error on one version and goes on without on another.
    return redis_cli(host, variables, authenticate=False, stdin=f'AUTH celery "{password}"\n')[0] == "OK"


def test_a_password_is_rotated_under_a_running_task(host):
    variables = host.ansible.get_variables()
    old = variables["redis_celery_password"]
    tasks = [send(host, "taskqueue_example.sleep", TASK_LASTS, worker=f"{name}@{host.backend.host}") for name in ("default", "reports")]
    connected = redis_cli(host, variables, "CLIENT", "LIST")

    # Both are valid, and then the workers are told.
    playbook("redis", old, redis_celery_old_passwords=[NEW])
    assert is_valid(host, variables, old) and is_valid(host, variables, NEW)
    # Nobody was disconnected for it.
    ids = {line.split()[0] for line in connected if "user=celery" in line}
    assert ids & {line.split()[0] for line in redis_cli(host, variables, "CLIENT", "LIST")}
    playbook("celery", old, redis_celery_password=NEW, redis_celery_old_passwords=[old])
    assert [result(host, task, timeout=60) for task in tasks] == [TASK_LASTS] * 2
    with host.sudo():
        for task in tasks:
            assert host.check_output("journalctl --no-pager --unit=celery-worker@*").count(f"{task}] received") == 1
        assert NEW.replace(" ", "%20") in host.check_output("cat /etc/celery/celery.env")

    # Back to what the inventory says.
    playbook("celery", old, redis_celery_old_passwords=[NEW])
    playbook("redis", old)
    assert is_valid(host, variables, old) and not is_valid(host, variables, NEW)
