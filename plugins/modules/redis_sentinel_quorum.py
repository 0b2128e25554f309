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
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisClient, RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directives import parse, read
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_running import NotFound, connect


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


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/redis/sentinel.conf"},
            "names": {"type": "list", "elements": "str", "required": True},
            "replicas": {"type": "int", "default": 1},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    options = module.params
    text, deadline, found = read(options["path"]) or "", time.monotonic() + options["timeout"], {}
    while True:
        try:
            client = connect([[*parse("port 26379"), *parse(text)]], (), None, options["path"])
            problems = ["no Sentinel answers"]
            if client:
                with client:
                    problems = list(filter(None, (trouble(client, name, options["replicas"]) for name in options["names"])))
                    if not problems:
                        found = {name: ":".join(client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)) for name in options["names"]}
        except (NotFound, OSError, RedisError) as error:
            problems = [str(error)]
        if not problems or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    if problems:
        module.fail_json(
            msg=f"The Sentinel of this host could carry out no failover, for {options['timeout']} seconds: {'; '.join(problems)}. Look at: do the "
                "Sentinels reach each other and the servers (firewall, redis_sentinel_address), and have all of them the same passwords?"
        )
    module.exit_json(changed=False, primaries=found)


if __name__ == "__main__":
    main()
