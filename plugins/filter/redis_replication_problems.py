# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what the hosts of a set of Redis servers have found out about it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_replication_problems
short_description: Find what would cost data in what several hosts say of their replication
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Takes what P(taskqueue.stack.redis_replication_info#module) returned on each host, and says why nothing must be changed on one of
    them.
options:
  _input:
    description: The results, by the host's name in the inventory.
    type: dict
    required: true
  own:
    description: The host. When empty, what is said counts of all of them.
    type: str
    required: true
  name:
    description: The primary's name.
    type: str
    required: true
  service:
    description: The service that runs Redis.
    type: str
    default: redis-server
  upgrading:
    description: Whether different versions are what an upgrade is about to mend.
    type: bool
    default: false
positional: own, name
"""

EXAMPLES = r"""
- name: Stop before anything changes
  ansible.builtin.fail:
    msg: "{{ problems | join(' ') }}"
  when: problems | length > 0
  vars:
    problems: "{{ {'redis1': replication} | taskqueue.stack.redis_replication_problems('redis1', 'mymaster') }}"
"""

RETURN = r"""
_value:
  description: One sentence or two for each problem. Empty when there is none.
  type: list
  elements: str
"""

import re
from collections.abc import Iterator, Mapping


def release(version: str) -> tuple[int, ...]:
    """Its first two numbers; one, where no more is known before it is installed."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def is_newer(one: str, other: str) -> bool:
    """As far as both are known."""
    known = min(len(release(one)), len(release(other)))
    return release(one)[:known] > release(other)[:known]


def contradictions(said: Mapping[str, Mapping], name: str) -> Iterator[str]:
    """Hosts of which each is content with what it hears, and hears something else."""
    primaries = {each["primary"]: host for host, each in said.items()}
    if len(primaries) > 1:
        parts = ", ".join(f"{host} finds {primary}" for primary, host in sorted(primaries.items()))
        yield (
            f"The hosts with redis_primary_name {name} find different primaries: {parts}. A failover may be under way, or part of the network cut off: see "
            "that each host reaches the others' Redis and Sentinels, and run this again."
        )


def losses(said: Mapping[str, Mapping], own: str, name: str, service: str) -> Iterator[str]:
    """A primary that starts with nothing, and replicas that throw away what they have to be like it."""
    mine = said[own]
    seen = {node["name"]: node for node in mine["nodes"]}
    if mine["primary"] != own or seen[own]["answers"] or mine["has_data"]:
        return
    # Of a host that this run leaves out, as much as can be seen from here.
    unasked = [host for host in seen if host not in said and (not seen[host]["answers"] or seen[host]["keys"])]
    losers = [host for host in said if said[host]["has_data"]] + unasked
    if not losers:
        return
    names = ", ".join(losers)
    if mine["source"] == "inventory":
        yield (
            f"No Redis with redis_primary_name {name} answers as the primary, so nobody knows who it was. {own} comes first in the inventory and has no "
            f"data, and {names} would throw away what is there. Start the one that was the primary (systemctl start {service}), and run this again"
            + (", on all of them at once (without --limit and serial)." if unasked else ".")
        )
    elif mine["source"] == "sentinels":
        yield (
            f"{own} is the primary by the word of the Sentinels, does not answer and has no data, and {names} would throw away what is there. Start those "
            f"that are stopped (systemctl start {service}), and let the Sentinels choose another: redis-cli -p 26379 sentinel failover {name}."
        )
    else:
        yield (
            f"{own} is the primary that others follow, does not answer and has no data, and {names} would throw away what is there. Start the Sentinels, "
            "which choose another; or run redis-cli replicaof no one && redis-cli config rewrite on the one with the highest slave_repl_offset (redis-cli "
            "info replication), and redis-cli replicaof THAT_HOST PORT && redis-cli config rewrite on the rest."
        )


def old_versions(said: Mapping[str, Mapping], own: str, name: str) -> Iterator[str]:
    """Servers that could not read what a newer one sends."""
    mine = said[own]
    seen = {node["name"]: node for node in mine["nodes"]}[mine["primary"]]
    if mine["version"] in ("", "0"):
        return
    if mine["primary"] != own and seen["answers"] and is_newer(seen["version"], mine["version"]):
        yield (
            f"{mine['primary']} is the primary and runs {seen['version']}, and {own} has {mine['version']}: an older one does not read what a newer one "
            f"sends. Run taskqueue.stack.upgrade (on RHEL 9 with redis_module_stream), which also ends one that was cut off, or take {own} out of the "
            "group redis."
        )
    if mine["primary"] != own and seen["answers"] and is_newer(mine["version"], seen["version"]):
        yield (
            f"{mine['primary']} is the primary and runs {seen['version']}, and {own} has {mine['version']}: after a failover to {own} the others could not "
            f"read what it sends. Give it the version of the others (on RHEL 9 by redis_module_stream), or take it out of the group redis, or, to bring "
            "all of them to the newer one, run taskqueue.stack.upgrade."
        )
    versions = [each["version"] for each in said.values() if each["version"] not in ("", "0")]
    if mine["source"] == "inventory" and any(is_newer(one, other) for one in versions for other in versions):
        shown = " and ".join(sorted({".".join(map(str, release(version))) for version in versions}))
        yield (
            f"The hosts with redis_primary_name {name} have different versions, {shown}: after a failover the older ones could not follow the newer. Give "
            "all of them one version (on RHEL 9 by redis_module_stream)."
        )


def redis_replication_problems(
    said: Mapping[str, Mapping], own: str, name: str, service: str = "redis-server", upgrading: bool = False
) -> list[str]:
    """Why nothing must be changed on this host; without one, on any of them."""
    if not own:
        return [problem for host in said for problem in redis_replication_problems(said, host, name, service, upgrading)]
    if said[own]["problem"]:
        return [f"{own}: {said[own]['problem']}"]
    found = [*contradictions(said, name), *losses(said, own, name, service)]
    return found if upgrading else [*found, *old_versions(said, own, name)]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"redis_replication_problems": redis_replication_problems}
