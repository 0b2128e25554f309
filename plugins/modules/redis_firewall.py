#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admits just the named hosts to a Redis."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_firewall
short_description: Admit just the named hosts to the ports of a Redis
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Adds rules to firewalld or ufw by which the named hosts reach the ports, and takes away those that it added before and
    that are not asked for any more. All of it in one call, now and for the next start of the machine.
  - It knows its own rules by a mark (with ufw the comment C(taskqueue.stack redis), with firewalld the priority C(-637); for
    Sentinels C(taskqueue.stack sentinel) and C(-638)) and touches no other. It closes nothing that another rule opens, and neither starts nor stops a firewall.
options:
  tool:
    description:
      - Which firewall to tell. V(auto) takes the one that runs, and does nothing when there is none.
    type: str
    choices: [auto, firewalld, ufw]
    default: auto
  ports:
    description: TCP ports to open.
    type: list
    elements: int
    required: true
  sources:
    description:
      - Who may connect, as addresses, networks or names. Names are looked up on the host that the module runs on.
      - Addresses of loopback need no rule and are left out.
    type: list
    elements: str
    required: true
  zone:
    description: Zone of firewalld. Without it, its default zone.
    type: str
  server:
    description: Whose ports these are. Rules for the other one are left alone.
    type: str
    choices: [redis, sentinel]
    default: redis
attributes:
  check_mode:
    support: full
    description: Says which rules would change.
  diff_mode:
    support: full
    description: The module's own rules, before and after.
"""

EXAMPLES = r"""
- name: Let the workers in, and nobody else
  taskqueue.stack.redis_firewall:
    ports: [6379]
    sources: [worker1.example.com, 192.0.2.0/28]
"""

RETURN = r"""
tool:
  description: The firewall that was told; empty when none runs.
  returned: success
  type: str
  sample: firewalld
admitted:
  description: Addresses and networks that are let in.
  returned: success
  type: list
  elements: str
  sample: [192.0.2.7]
"""

import ipaddress
import re
import socket
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule

Rule = tuple[str, int]
Run = Callable[[list[str]], tuple[int, str, str]]


class Problem(Exception):
    """What stops the module, as a person is to read it."""


def networks(sources: list[str]) -> list[str]:
    """The sources as addresses and networks, in the spelling of the firewalls: without a mask where it is one address."""
    found = set()
    for source in sources:
        try:
            places = {ipaddress.ip_network(source, strict=False)}
        except ValueError:
            try:
                answers = socket.getaddrinfo(source, None, type=socket.SOCK_STREAM)
            except OSError as error:
                raise Problem(
                    f"sources names {source}, which has no address on this host ({error}). Write one "
                    "that resolves here, or an address: as ansible_host of that host, or in redis_firewall_sources (role redis)."
                ) from error
            # An address of the link alone bears the name of an interface.
            places = {ipaddress.ip_network(address[4][0]) for address in answers if "%" not in address[4][0]}
        found |= {place for place in places if not place.is_loopback}
    ordered = sorted(found, key=lambda place: (place.version, place))
    return [str(place.network_address) if place.prefixlen == place.max_prefixlen else str(place) for place in ordered]


class Ufw:
    """Rules of ufw, known by their comment. They are kept and in force at once."""

    def __init__(self, run: Run, server: str) -> None:
        self._run = run
        self._comment = f"taskqueue.stack {server}"
        # "ufw show added" prints rules as they would be given.
        self._line = re.compile(rf"^ufw allow from (\S+) to any port (\d+) proto tcp comment '{re.escape(self._comment)}'$", re.MULTILINE)

    def runs(self) -> bool:
        """Whether it filters."""
        return self._run(["ufw", "status"])[1].startswith("Status: active")

    def rules(self) -> dict[str, set[Rule]]:
        """Ours, by the place where they are."""
        return {"ufw": parsed(self._line, output(self._run, ["ufw", "show", "added"]))}

    def change(self, _place: str, add: set[Rule], remove: set[Rule]) -> None:
        """Adds first, so that nobody is shut out in between."""
        for source, port in sorted(add):
            output(self._run, ["ufw", "allow", "proto", "tcp", "from", source, "to", "any", "port", str(port), "comment", self._comment])
        for source, port in sorted(remove):
            output(self._run, ["ufw", "delete", "allow", "proto", "tcp", "from", source, "to", "any", "port", str(port)])


class Firewalld:
    """Rich rules of firewalld, known by their priority: those in force, and those that are kept."""

    # No reload: that would drop what others have set for the running firewall alone.
    _places = {"firewalld": [], "firewalld, permanent": ["--permanent"]}

    def __init__(self, run: Run, zone: str | None, server: str) -> None:
        self._run = run
        self._priority = {"redis": -637, "sentinel": -638}[server]
        self._line = re.compile(
            rf'^rule priority="{self._priority}" family="ipv[46]" source address="([^"]+)" port port="(\d+)" protocol="tcp" accept$',
            re.MULTILINE,
        )
        self._zone = [f"--zone={zone}"] if zone else []

    def runs(self) -> bool:
        """Whether it filters."""
        return self._run(["firewall-cmd", "--state"])[0] == 0

    def rules(self) -> dict[str, set[Rule]]:
        """Ours, by the place where they are."""
        return {
            place: parsed(self._line, output(self._run, ["firewall-cmd", *options, *self._zone, "--list-rich-rules"]))
            for place, options in self._places.items()
        }

    def change(self, place: str, add: set[Rule], remove: set[Rule]) -> None:
        """Adds first, so that nobody is shut out in between."""
        for verb, rules in (("add", add), ("remove", remove)):
            if rules:
                words = [f"--{verb}-rich-rule={self._rule(*rule)}" for rule in sorted(rules)]
                output(self._run, ["firewall-cmd", *self._places[place], *self._zone, *words])

    def _rule(self, source: str, port: int) -> str:
        family = "ipv6" if ":" in source else "ipv4"
        return f'rule priority="{self._priority}" family="{family}" source address="{source}" port port="{port}" protocol="tcp" accept'


def output(run: Run, command: list[str]) -> str:
    """What a command prints."""
    code, printed, errors = run(command)
    if code:
        raise Problem(f"{' '.join(command)}: {errors.strip() or printed.strip() or f'exit status {code}'}")
    return printed


def parsed(line: re.Pattern, text: str) -> set[Rule]:
    return {(source, int(port)) for source, port in line.findall(text)}


def choose(tool: str, zone: str | None, server: str, run: Run, has: Callable[[str], bool]) -> Ufw | Firewalld | None:
    """The firewall to tell: the one that is named, or else the one that runs."""
    known = {"firewalld": ("firewall-cmd", Firewalld(run, zone, server)), "ufw": ("ufw", Ufw(run, server))}
    for name, (program, firewall) in known.items():
        if tool in ("auto", name) and has(program) and firewall.runs():
            return firewall
    if tool != "auto":
        raise Problem(f"{tool} does not run on this host. Start it, or let auto take what runs (redis_firewall in the role redis).")
    return None


def shown(rules: set[Rule]) -> str:
    return "".join(f"{source} to port {port}\n" for source, port in sorted(rules))


def run_module(module: AnsibleModule) -> dict:
    """Make it so; the module's result."""
    wanted = module.params
    bad = [str(port) for port in wanted["ports"] if not 0 < port < 65536]
    if bad:
        raise Problem(f"ports names {', '.join(bad)}: write TCP ports from 1 to 65535.")
    firewall = choose(wanted["tool"], wanted["zone"], wanted["server"], module.run_command, lambda name: bool(module.get_bin_path(name)))
    if firewall is None:
        return {"changed": False, "tool": "", "admitted": []}
    admitted = networks(wanted["sources"])
    rules = {(source, port) for source in admitted for port in wanted["ports"]}
    changes = {place: present for place, present in firewall.rules().items() if present != rules}
    if not module.check_mode:
        for place, present in changes.items():
            firewall.change(place, rules - present, present - rules)
    return {
        "changed": bool(changes),
        "tool": type(firewall).__name__.lower(),
        "admitted": admitted,
        "diff": [
            {"before_header": place, "after_header": place, "before": shown(present), "after": shown(rules)}
            for place, present in changes.items()
        ],
    }


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "tool": {"type": "str", "choices": ["auto", "firewalld", "ufw"], "default": "auto"},
            "ports": {"type": "list", "elements": "int", "required": True},
            "sources": {"type": "list", "elements": "str", "required": True},
            "zone": {"type": "str"},
            "server": {"type": "str", "choices": ["redis", "sentinel"], "default": "redis"},
        },
        supports_check_mode=True,
    )
    # What the firewalls print is read here.
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    try:
        result = run_module(module)
    except Problem as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
