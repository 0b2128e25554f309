#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out which of several Redis servers is the primary."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_replication_info
short_description: Find out which of several Redis servers is the primary
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Asks the Sentinels for the primary, or else the servers themselves, and changes nothing.
  - Where nobody knows of a primary yet, it is the first of O(nodes). Where the answers contradict each other, or a server would
    lose its data by following that one, RV(problem) says so.
options:
  nodes:
    description: The servers that replicate each other, in the order of the inventory, this host's among them.
    type: list
    elements: dict
    required: true
    suboptions: &node
      name:
        description: Its name in the inventory.
        type: str
        required: true
      host:
        description: Name or address by which others reach it.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        required: true
  own:
    description: Which of O(nodes) this host is.
    type: str
    required: true
  sentinels:
    description: The Sentinels that watch them.
    type: list
    elements: dict
    default: []
    suboptions: *node
  primary_name:
    description: The name that Sentinels have for the primary.
    type: str
    default: mymaster
  path:
    description: Configuration file of this host's server. Passwords that it has are tried as well.
    type: path
    default: /etc/redis/redis.conf
  sentinel_path:
    description: Configuration file of this host's Sentinel, where there is one. Its password is tried as well.
    type: path
    default: /etc/redis/sentinel.conf
  login_user:
    description: User of the servers.
    type: str
  login_password:
    description: Password of the servers.
    type: str
  sentinel_password:
    description: Password of the Sentinels.
    type: str
  tls:
    description: Given, servers and Sentinels are asked by TLS.
    type: dict
    suboptions:
      ca:
        description: The CA, as PEM text or as an absolute path on the host.
        type: str
      certificate:
        description: The certificate to show, in the same two forms.
        type: str
      key:
        description: Its key, in the same two forms.
        type: str
  version:
    description: The version that this host has or is going to have. It is handed on in the result.
    type: str
    default: ""
  wait:
    description: Seconds to wait until this host's server is the primary, or has all of the primary's data.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    description: It only asks.
  diff_mode:
    support: none
    description: It only asks.
"""

EXAMPLES = r"""
- name: Find the primary
  taskqueue.stack.redis_replication_info:
    own: "{{ inventory_hostname }}"
    nodes:
      - {name: redis1, host: 192.0.2.1, port: 6379}
      - {name: redis2, host: 192.0.2.2, port: 6379}
    sentinels:
      - {name: redis1, host: 192.0.2.1, port: 26379}
    login_password: "{{ vault_redis_password }}"
  register: replication
"""

RETURN = r"""
primary:
  description: Name of the primary, one of O(nodes).
  returned: success
  type: str
  sample: redis2
source:
  description: Who said so, V(sentinels), V(servers), or V(inventory) when nobody knows of one yet.
  returned: success
  type: str
problem:
  description: Why nothing must be changed; empty when there is no reason.
  returned: success
  type: str
nodes:
  description: What each server says of itself.
  returned: success
  type: list
  elements: dict
has_data:
  description: Whether this host has data of Redis, running or not.
  returned: success
  type: bool
version:
  description: What O(version) said.
  returned: success
  type: str
in_step:
  description: Whether this host's server is the primary, or has all of the primary's data.
  returned: success
  type: bool
"""

import collections
import concurrent.futures
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directives import parse, read
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import (
    NODE,
    NODES,
    TLS,
    Node,
    Peers,
    ask,
    ask_sentinel,
    find,
    is_loopback,
    passwords_of,
    tls_files,
)
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_plan import has_data
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_throwaway import stated


def decide(nodes: list[Node], own: str, seen: dict[str, dict], answers: list[tuple[str, int] | None], name: str) -> tuple[str, str, str]:
    """Name of the primary, who said so, and what speaks against going on."""
    first = nodes[0].name
    # A Sentinel of a package watches the machine's own loopback until it is told otherwise.
    known = [answer for answer in answers if answer and not is_loopback(answer[0])]
    for (host, port), _count in collections.Counter(known).most_common(1):
        node = find(nodes, host, port)
        if node is None:
            hosts = ", ".join(str(each) for each in nodes)
            return first, "sentinels", (
                f"the Sentinels have {host} port {port} as the primary {name}, which is none of the hosts with redis_primary_name {name} "
                f"in the group redis: {hosts}. Add that host, give these another redis_primary_name, or correct redis_address."
            )
        return node.name, "sentinels", ""
    strangers = [each for each in seen.values() if each["refuses"]]
    if strangers:
        return first, "servers", (
            f"{strangers[0]['name']} ({strangers[0]['host']} port {strangers[0]['port']}) answers and lets nobody in "
            f"({strangers[0]['error']}), so nobody knows who the primary is. Give its present password in redis_password, or stop it."
        )
    present = [each for each in seen.values() if each["answers"]]
    primaries = [each for each in present if each["role"] == "primary"]
    followed = {(each["primary_host"], each["primary_port"]) for each in present if each["role"] == "replica"}
    leaders = {node.name if node else "": address for address in followed for node in [find(nodes, *address)]}
    if "" in leaders:
        host, port = leaders[""]
        follower = next(each["name"] for each in present if each["role"] == "replica" and find(nodes, each["primary_host"], each["primary_port"]) is None)
        return first, "servers", (
            f"{follower} follows {host} port {port}, which is none of the hosts with redis_primary_name {name}. Add that host to the group "
            f"redis, or take {follower} out of it, or make {follower} a primary first (redis-cli replicaof no one)."
        )
    if len(leaders) > 1:
        return first, "servers", (
            f"the hosts with redis_primary_name {name} follow different primaries: {', '.join(sorted(leaders))}. Give the hosts of each "
            "primary a redis_primary_name of their own, or make one follow the other first (redis-cli replicaof HOST PORT)."
        )
    # Whom others follow; else who has data; else the inventory's first.
    ranked = sorted(primaries, key=lambda each: (each["name"] not in leaders, not each["keys"], [node.name for node in nodes].index(each["name"])))
    if leaders and next(iter(leaders)) not in [each["name"] for each in primaries]:
        # It is away, and comes back, or Sentinel is about to choose another.
        chosen, source = next(iter(leaders)), "servers"
    elif ranked:
        chosen, source = (ranked[0]["name"], "servers") if ranked[0]["keys"] or leaders else (first, "inventory")
    else:
        chosen, source = first, "inventory"
    losers = [each for each in primaries if each["name"] != chosen and each["keys"]]
    if losers:
        return chosen, source, (
            f"{losers[0]['name']} is a primary of its own and holds {losers[0]['keys']} keys, which it would lose by following {chosen}. Let workers "
            f"empty its queues and run redis-cli flushall there, or give it a redis_primary_name of its own."
        )
    return chosen, source, ""


def survey(peers: Peers, nodes: list[Node]) -> dict[str, dict]:
    with concurrent.futures.ThreadPoolExecutor(max(len(nodes), 1)) as pool:
        return {seen["name"]: seen for seen in pool.map(lambda node: ask(peers, node), nodes)}


def hear(peers: Peers, sentinels: list[Node], name: str) -> list[tuple[str, int] | None]:
    def one(node: Node) -> tuple[str, int] | None:
        try:
            return ask_sentinel(peers, node, name)
        except (OSError, RedisError):
            return None

    with concurrent.futures.ThreadPoolExecutor(max(len(sentinels), 1)) as pool:
        return list(pool.map(one, sentinels))


def holds_data(path: str) -> bool:
    """Whether the server of this file finds something to load when it starts."""
    text = read(path)
    if text is None:
        return False
    directives = parse(text)
    defaults = {"dir": "", "dbfilename": "dump.rdb", "appendfilename": "appendonly.aof", "appenddirname": "appendonlydir"}
    return has_data({name: stated(directives, name, default) for name, default in defaults.items()})


def is_in_step(own: str, seen: dict[str, dict]) -> bool:
    me = seen[own]
    return bool(me["answers"] and (me["role"] == "primary" or me["link"] == "up"))


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            "own": {"type": "str", "required": True},
            "sentinels": NODES,
            "primary_name": {"type": "str", "default": "mymaster"},
            "path": {"type": "path", "default": "/etc/redis/redis.conf"},
            "sentinel_path": {"type": "path", "default": "/etc/redis/sentinel.conf"},
            "login_user": {"type": "str"},
            "login_password": {"type": "str", "no_log": True},
            "sentinel_password": {"type": "str", "no_log": True},
            "tls": TLS,
            "version": {"type": "str", "default": ""},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    options = module.params
    nodes, sentinels = ([Node(**entry) for entry in options[key]] for key in ("nodes", "sentinels"))
    own, name = options["own"], options["primary_name"]
    if own not in [node.name for node in nodes]:
        module.fail_json(msg=f"own is {own}, and nodes does not name it: this host's server has to be one of them.")
    files = tls_files(options["tls"], module.tmpdir)
    login = tuple(word for word in (options["login_user"], options["login_password"]) if word)
    servers = Peers(files, [login, *passwords_of(options["path"])])
    watchers = Peers(files, [(options["sentinel_password"] or "",), *passwords_of(options["sentinel_path"])])

    answers = hear(watchers, sentinels, name)
    deadline = time.monotonic() + options["wait"]
    seen = survey(servers, nodes)
    while not is_in_step(own, seen) and time.monotonic() < deadline:
        time.sleep(0.3)
        seen = survey(servers, nodes)
    primary, source, problem = decide(nodes, own, seen, answers, name)
    module.exit_json(
        changed=False, primary=primary, source=source, problem=problem, nodes=list(seen.values()), version=options["version"],
        has_data=holds_data(options["path"]), in_step=is_in_step(own, seen),
    )


if __name__ == "__main__":
    main()
