# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket

import pytest

from ansible.module_utils import basic

from ansible_collections.taskqueue.stack.plugins.modules import redis_firewall


class Host:
    """A host with ufw, firewalld, both or neither, that answer as the real ones do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.running: set[str] = set()
        self.ufw = ["ufw allow 22/tcp", "ufw allow from 10.0.0.9 to any port 6379 proto tcp"]
        self.firewalld: dict[str, list[str]] = {"": ['rule family="ipv4" source address="10.0.0.9" accept'], "--permanent": []}
        self.calls: list[list[str]] = []
        monkeypatch.setattr(basic.AnsibleModule, "run_command", lambda module, argv: self.run_command(argv))
        monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", lambda module, name: name if name == "ufw" or "firewalld" in self.running else None)

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        if argv == ["ufw", "status"]:
            return 0, f"Status: {'active' if 'ufw' in self.running else 'inactive'}\n", ""
        if argv == ["firewall-cmd", "--state"]:
            return 0, "running\n", ""
        if argv == ["ufw", "show", "added"]:
            return 0, "Added user rules (see 'ufw status' for running firewall):\n" + "\n".join(self.ufw) + "\n", ""
        place = "--permanent" if "--permanent" in argv else ""
        if argv[-1] == "--list-rich-rules":
            return 0, "\n".join(self.firewalld[place]) + "\n", ""
        self.calls.append(argv)
        if argv[:2] == ["ufw", "allow"]:
            self.ufw.append(f"ufw allow from {argv[5]} to any port {argv[9]} proto tcp comment '{argv[11]}'")
        elif argv[:2] == ["ufw", "delete"]:
            self.ufw = [line for line in self.ufw if not line.startswith(f"ufw allow from {argv[6]} to any port {argv[10]} proto tcp comment")]
        for word in argv:
            if word.startswith("--add-rich-rule="):
                self.firewalld[place].append(word.partition("=")[2])
            if word.startswith("--remove-rich-rule="):
                self.firewalld[place].remove(word.partition("=")[2])
        return 0, "", ""

    def run(self, *sources: str, check: bool = False, **options: object) -> dict:
        self.calls.clear()
        arguments = {"ports": [6379], "sources": list(sources), "_ansible_check_mode": check, **options}
        self._monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        self._monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            redis_firewall.main()
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Host:
    return Host(monkeypatch, capsys)


def test_a_host_without_a_firewall_is_left_alone(host: Host) -> None:
    result = host.run("10.0.0.1")
    assert (result["changed"], result["tool"], host.calls) == (False, "", [])
    result = host.run("10.0.0.1", tool="firewalld")
    assert result["failed"] and "firewalld does not run on this host" in result["msg"] and "redis_firewall" in result["msg"]


@pytest.mark.parametrize("tool", ["ufw", "firewalld"])
def test_just_the_named_hosts_are_admitted(host: Host, tool: str) -> None:
    host.running = {tool}
    foreign = [*host.ufw, *host.firewalld[""]]
    assert host.run("10.0.0.1", "fd00::/64", check=True)["changed"] and not host.calls
    first = host.run("10.0.0.1", "fd00::/64")
    assert (first["changed"], first["tool"], first["admitted"]) == (True, tool, ["10.0.0.1", "fd00::/64"])
    assert first["diff"][0]["after"] == "10.0.0.1 to port 6379\nfd00::/64 to port 6379\n"
    assert not host.run("10.0.0.1", "fd00::/64")["changed"]
    # One worker has gone, another has come.
    second = host.run("10.0.0.2", "fd00::/64")
    assert second["diff"][0]["before"].startswith("10.0.0.1 ") and second["diff"][0]["after"].startswith("10.0.0.2 ")
    assert not host.run("10.0.0.2", "fd00::/64")["changed"]
    assert host.run()["changed"]
    assert [*host.ufw, *host.firewalld[""]] == foreign and host.firewalld["--permanent"] == []


def test_what_only_the_running_firewalld_knows_is_kept_too(host: Host) -> None:
    host.running = {"firewalld"}
    host.run("10.0.0.1")
    host.firewalld["--permanent"].clear()
    assert host.run("10.0.0.1", zone="internal")["changed"]
    assert [call[:3] for call in host.calls] == [["firewall-cmd", "--permanent", "--zone=internal"]]


def test_names_are_looked_up_and_loopback_needs_no_rule(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"worker": ["10.0.0.7", "fd00::7", "fe80::7%eth0"], "here": ["127.0.1.1", "::1"]}

    def look_up(name: str, _port: None, **_unused: object) -> list[tuple]:
        if name not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in known[name]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    host.running = {"ufw"}
    assert host.run("worker", "here", "10.0.0.5/8", "10.0.0.7/32")["admitted"] == ["10.0.0.0/8", "10.0.0.7", "fd00::7"]
    result = host.run("nowhere")
    assert result["failed"] and "nowhere, which has no address on this host" in result["msg"]


def test_ports_are_ports(host: Host) -> None:
    assert "ports names 0" in host.run("10.0.0.1", ports=[0])["msg"]
