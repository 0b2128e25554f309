"""Passwords stay out of what a run prints at its most talkative, and out of every host's journal."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

testinfra_hosts = ["ansible://all"]

REPOSITORY = Path(__file__).parents[2]
INVENTORY = f"--inventory={REPOSITORY / '.cache/testbed' / os.environ['MOLECULE_SCENARIO_NAME'] / 'inventory'}"


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def secrets() -> set[str]:
    """Each password as the inventory has it and as a URL has it, and a line of each private key."""
    hosts = json.loads(run("ansible-inventory", INVENTORY, "--list"))["_meta"]["hostvars"].values()
    names = ("redis_password", "redis_admin_password", "redis_celery_password", "celery_flower_password")
    passwords = {host[name] for host in hosts for name in names if host.get(name)}
    passwords |= {password for host in hosts for user in host.get("redis_users", []) for password in user.get("passwords", [])}
    keys = (REPOSITORY / ".cache/testbed" / os.environ["MOLECULE_SCENARIO_NAME"] / "tls").glob("*.key")
    return passwords | {quote(password, safe="") for password in passwords} | {key.read_text().splitlines()[1] for key in keys}


@pytest.fixture(scope="module")
def talkative_run() -> str:
    return run("ansible-playbook", INVENTORY, "-vvv", "--diff", "taskqueue.stack.site")


def test_a_talkative_run_does_not_print_them(talkative_run, secrets):
    assert "changed=0" in talkative_run
    assert [secret for secret in secrets if secret in talkative_run] == []


def test_no_journal_has_them(host, secrets):
    with host.sudo():
        journal = host.check_output("journalctl --no-pager --output=cat")
    assert [secret for secret in secrets if secret in journal] == []
