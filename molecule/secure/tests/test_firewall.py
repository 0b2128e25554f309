"""A firewall that runs lets in the inventory's hosts and nobody else. Both firewalls on one host, as its distribution has both."""

from __future__ import annotations

import socket

import pytest
from conftest import run_playbook

# The other host's part is to connect: its stand-in's repository has no firewall.
testinfra_hosts = ["ansible://ubuntu2404"]

# How to have each of them filter, and not. Ansible must still get in.
FIREWALLS = {
    "ufw": ("ufw allow 22/tcp && ufw --force enable", "ufw --force disable"),
    "firewalld": ("systemctl start firewalld", "systemctl disable --now firewalld"),
}


def reaches(host, name: str) -> bool:
    return host.run(f"timeout 3 bash -c '</dev/tcp/{name}/6379'").succeeded


def stranger_reaches(address: str) -> bool:
    """From this machine, which is no host of the inventory."""
    try:
        socket.create_connection((address, 6379), timeout=3).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("tool", FIREWALLS)
def test_lets_in_the_inventory_s_hosts_and_nobody_else(host, tool, request):
    name = host.backend.host
    peer = host.get_host("ansible://rhel9", ansible_inventory=host.backend.ansible_inventory)
    address = host.check_output("hostname -I").split()[0]
    start, stop = FIREWALLS[tool]
    with host.sudo():
        host.check_output(f"apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 {tool}")
        request.addfinalizer(lambda: host.run(f"sudo sh -c '{stop}'"))
        assert stranger_reaches(address) or tool == "firewalld"
        host.check_output(start)
    assert not reaches(peer, name)
    run_playbook(host, "redis")
    assert reaches(peer, name)
    assert not stranger_reaches(address)
