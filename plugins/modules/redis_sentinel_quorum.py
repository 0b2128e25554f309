#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until a Sentinel could carry out a failover."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_sentinel_quorum
short_description: Wait until a Sentinel could carry out a failover
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Asks the Sentinel of this host whether it sees enough others to carry out a failover (C(SENTINEL CKQUORUM)), whether the
    primary answers it, and whether there is a replica that could be promoted. Changes nothing.
options:
  path:
    description: The configuration file of the Sentinel, which says how to reach it.
    type: path
    default: /etc/redis/sentinel.conf
  names:
    description: Names of the primaries to ask for.
    type: list
    elements: str
    required: true
  replicas:
    description: How many replicas in good order each of them must have.
    type: int
    default: 1
  alone:
    description: Those of O(names) all of whose other servers are lost. They need no replica, and a warning says that they have none.
    type: list
    elements: str
    default: []
  sentinels:
    description:
      - How many Sentinels there are. Given that, the module waits up to ten seconds for a word of each of the others, so that it
        can tell whether one of them was replaced. A majority remains enough.
    type: int
    default: 1
  timeout:
    description: Seconds to wait for it. Sentinels find each other, and replicas, within about ten.
    type: int
    default: 30
attributes:
  check_mode:
    support: full
    description: It only asks.
  diff_mode:
    support: none
    description: It only asks.
"""

EXAMPLES = r"""
- name: Make sure that a failover is possible
  taskqueue.stack.redis_sentinel_quorum:
    names: [mymaster]
"""

RETURN = r"""
primaries:
  description: Address of each primary, as C(host:port).
  returned: success
  type: dict
  sample: {mymaster: "192.0.2.1:6379"}
replaced:
  description:
    - Primaries for which this Sentinel still counts one whose address another Sentinel has now, as after a machine was replaced. It would
      count against a majority for ever. M(taskqueue.stack.redis_sentinel) makes it forget.
  returned: success
  type: list
  elements: str
  sample: []
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisClient, RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directives import parse, read
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_running import NotFound, connect


# Seconds in which a Sentinel that runs is heard of: it calls every two.
HEARD = 6
PATIENCE = 10


def pairs(words: object) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2]))


def trouble(client: RedisClient, name: str, wanted: int) -> str:
    """Why no failover of this primary would come about; empty when it would."""
    try:
        primary = pairs(client.call("SENTINEL", "MASTER", name))
        client.call("SENTINEL", "CKQUORUM", name)
        replicas = [pairs(entry) for entry in client.call("SENTINEL", "SLAVES", name)]
    except RedisError as error:
        return f"{name}: {error}"
    if primary["flags"] != "master":
        return f"{name}: the primary {primary['ip']} port {primary['port']} is in the state {primary['flags']}"
    good = [entry for entry in replicas if entry["flags"] == "slave" and entry["master-link-status"] == "ok"]
    return f"{name}: {len(good)} of the {wanted} replicas are in good order" if len(good) < wanted else ""


def others(client: RedisClient, name: str) -> list[dict[str, str]]:
    return [pairs(entry) for entry in client.call("SENTINEL", "SENTINELS", name)]


def is_heard(entry: dict[str, str]) -> bool:
    """Whether it called of late. One whose machine was replaced answers by its successor, and calls no more."""
    return not was_replaced(entry) and int(entry["last-hello-message"]) < HEARD * 1000


def was_replaced(entry: dict[str, str]) -> bool:
    """Sentinel takes the port from one that another has the address of now (sentinelProcessHelloMessage() in sentinel.c)."""
    return entry["port"] == "0"


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/redis/sentinel.conf"},
            "names": {"type": "list", "elements": "str", "required": True},
            "replicas": {"type": "int", "default": 1},
            "alone": {"type": "list", "elements": "str", "default": []},
            "sentinels": {"type": "int", "default": 1},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    options = module.params
    replicas = {name: 0 if name in options["alone"] else options["replicas"] for name in options["names"]}
    text, begun, found = read(options["path"]) or "", time.monotonic(), {}
    while True:
        known: dict[str, list[dict[str, str]]] = {}
        try:
            client = connect([[*parse("port 26379"), *parse(text)]], (), None, options["path"])
            problems = ["no Sentinel answers"]
            if client:
                with client:
                    problems = list(filter(None, (trouble(client, *wanted) for wanted in replicas.items())))
                    if not problems:
                        found = {name: ":".join(client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)) for name in options["names"]}
                        known = {name: others(client, name) for name in options["names"]}
        except (NotFound, OSError, RedisError) as error:
            problems = [str(error)]
        all_heard = all(sum(map(is_heard, entries)) >= options["sentinels"] - 1 for entries in known.values())
        waited = time.monotonic() - begun
        if waited > options["timeout"] or not problems and (all_heard or waited > PATIENCE):
            break
        time.sleep(0.5)
    if problems:
        module.fail_json(
            msg=f"The Sentinel of this host could carry out no failover, for {options['timeout']} seconds: {'; '.join(problems)}. Look at: do the "
                "Sentinels reach each other and the servers (firewall, redis_sentinel_address), and have all of them the same passwords?"
        )
    for name in options["alone"]:
        module.warn(f"{name}: there is no other server left that could take the place of the primary.")
    replaced = [name for name, entries in known.items() if any(map(was_replaced, entries))]
    module.exit_json(changed=False, primaries=found, replaced=replaced)


if __name__ == "__main__":
    main()
