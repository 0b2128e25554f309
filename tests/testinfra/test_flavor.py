"""Redis and Valkey never share a port, and nobody loses the tasks that wait in one by asking for the other."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import flavor

testinfra_hosts = ["ansible://redis"]

REPOSITORY = Path(__file__).parents[2]
INVENTORY = f"--inventory={REPOSITORY / '.cache/testbed' / os.environ['MOLECULE_SCENARIO_NAME'] / 'inventory'}"
OTHER = {"redis": "valkey", "valkey": "redis"}


# Images whose distribution packages both.
BOTH = ("debian13", "ubuntu2604")


@pytest.fixture(scope="module")
def refusal() -> str:
    """What site says when the hosts that could have either are asked for the one that they do not run."""
    listing = json.loads(subprocess.check_output(["ansible-inventory", INVENTORY, "--list"], cwd=REPOSITORY))
    hosts = {name: variables for name, variables in listing["_meta"]["hostvars"].items() if variables["testbed_image"] in BOTH}
    wanted = {name: OTHER[flavor(variables)] for name, variables in hosts.items()}
    run = subprocess.run(
        ["ansible-playbook", INVENTORY, f"--limit=localhost,{','.join(hosts)}", "taskqueue.stack.site",
         "--extra-vars", json.dumps({"redis_flavor": "{{ " + repr(wanted) + "[inventory_hostname] }}"})],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )
    assert run.returncode != 0
    assert run.stdout.count("changed=") == run.stdout.count("changed=0 ") == 1 + len(hosts), run.stdout
    return " ".join(run.stdout.split())


def test_a_switch_is_refused_with_the_remedy(host, variables, request):
    if variables["testbed_image"] not in BOTH:
        pytest.skip("its distribution packages one flavor alone")
    mine = flavor(variables)
    refusal = request.getfixturevalue("refusal")
    assert f"is taken, and {mine}-server runs on this host" in refusal
    assert f"systemctl disable --now {mine}-server" in refusal
    assert host.run_test(f"pidof {mine}-server").succeeded
    assert not host.exists(f"{OTHER[mine]}-server")
