"""Another host takes the scheduler over: never beside the old one, and the old one is stopped. Its name sorts it last: it is slow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

testinfra_hosts = ["ansible://celery_beat"]

REPOSITORY = Path(__file__).parents[2]
INVENTORY = REPOSITORY / ".cache/testbed" / os.environ["MOLECULE_SCENARIO_NAME"] / "inventory"


def _run(inventory: Path, *options: str) -> subprocess.CompletedProcess:
    # The system is up to date, and to look for updates takes long.
    command = ["ansible-playbook", f"--inventory={inventory}", '--extra-vars={"celery_app_os_update": false}', *options, "taskqueue.stack.celery"]
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment)


@pytest.fixture
def elsewhere(variables, tmp_path) -> tuple[str, Path]:
    """Another host with workers of the same broker, and an inventory in which beat is there."""
    old = variables["inventory_hostname"]
    # A host with a Redis of its own uses that one.
    sharing = [name for name in variables["groups"]["celery_worker"] if name not in variables["groups"]["redis"]]
    other = next((name for name in sharing if name != old), "")
    if old not in sharing or not other:
        pytest.skip("this inventory has no other host with workers of the same broker")
    listing = json.loads(subprocess.check_output(["ansible-inventory", f"--inventory={INVENTORY}", "--list"]))
    hosts = listing.pop("_meta")["hostvars"]
    hosts[other]["celery_beat_schedule"] = variables["celery_beat_schedule"]
    groups = {name: {"hosts": dict.fromkeys(group["hosts"])} for name, group in listing.items() if group.get("hosts")}
    groups["celery_beat"] = {"hosts": {other: None}}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": groups}}), encoding="utf-8")
    return other, inventory


def test_another_host_takes_over(host, variables, elsewhere):
    other, inventory = elsewhere
    there = host.get_host(f"ansible://{other}", ansible_inventory=str(INVENTORY))
    try:
        # Without the old host nobody stops it.
        run = _run(inventory, f"--limit=localhost,{other}")
        assert run.returncode != 0
        words = f"celerybeat@{variables['inventory_hostname']} answers on the broker of {other}"
        assert words in " ".join(run.stdout.split()), run.stdout
        assert not there.service("celery-beat").is_running

        run = _run(inventory)
        assert run.returncode == 0, run.stdout + run.stderr
        assert not host.service("celery-beat").is_running
        assert not host.file("/etc/systemd/system/celery-beat.service").exists
        assert there.service("celery-beat").is_running
    finally:
        run = _run(INVENTORY)
    assert run.returncode == 0, run.stdout + run.stderr
    assert host.service("celery-beat").is_running
    assert not there.service("celery-beat").is_running
