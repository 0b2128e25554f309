#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands the part of the primary over to a replica, without the loss of a write."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_failover
short_description: Hand the part of the primary over to a replica, without the loss of a write
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - "Asks Sentinel for a failover that loses nothing: writes to the primary wait (C(CLIENT PAUSE)) until every replica has all that was
    written before, Sentinel promotes one of them, the old primary follows it, and then the writes that waited are sent there by
    their clients."
  - Sentinel's own C(SENTINEL FAILOVER) does not wait, and what the old primary took in the meantime is gone.
  - When it comes to nothing, the primary goes on as before.
  - Redis before 6.2 cannot let writes wait. There they are refused for that moment (C(min-replicas-to-write)).
options:
  name:
    description: The name that Sentinels have for the primary.
    type: str
    default: mymaster
  nodes:
    description: The servers that replicate each other.
    type: list
    elements: dict
    required: true
    suboptions: &node
      name:
        description: Its name in the inventory.
        type: str
        required: true
      host:
        description: Name or address by which it is reached.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        required: true
  sentinels:
    description: The Sentinels. The first that sees a majority is asked.
    type: list
    elements: dict
    required: true
    suboptions: *node
  login_user:
    description: User of the servers, with the right to configure them.
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
  timeout:
    description: Seconds that writes may wait at most. If the failover has not come about by then, it is given up.
    type: int
    default: 15
attributes:
  check_mode:
    support: full
    description: Finds out whether a failover could take place.
  diff_mode:
    support: none
    description: The result says who was the primary and who is.
"""

EXAMPLES = r"""
- name: Hand over
  taskqueue.stack.redis_failover:
    nodes:
      - {name: redis1, host: 192.0.2.1, port: 6379}
      - {name: redis2, host: 192.0.2.2, port: 6379}
    sentinels:
      - {name: monitor, host: 192.0.2.3, port: 26379}
    login_password: "{{ vault_redis_password }}"
    sentinel_password: "{{ vault_sentinel_password }}"
"""

RETURN = r"""
before:
  description: Who was the primary.
  returned: success
  type: str
  sample: redis1
after:
  description: Who is the primary now. In check mode the same as before.
  returned: success
  type: str
  sample: redis2
seconds:
  description: How long writes had to wait.
  returned: success, outside check mode
  type: float
  sample: 1.4
"""

import contextlib
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisClient, RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import (
    NODE,
    TLS,
    Node,
    Peers,
    ask,
    ask_sentinel,
    find,
    tls_files,
)


class Problem(Exception):
    """What stops the module, as a person is to read it."""


class Failover:
    """One of them."""

    def __init__(self, module: AnsibleModule) -> None:
        options = module.params
        self.module, self.name, self.timeout = module, options["name"], options["timeout"]
        self.nodes, self.watchers = ([Node(**entry) for entry in options[key]] for key in ("nodes", "sentinels"))
        files = tls_files(options["tls"], module.tmpdir)
        self.servers = Peers(files, [tuple(word for word in (options["login_user"], options["login_password"]) if word)])
        self.sentinels = Peers(files, [(options["sentinel_password"] or "",)])
        self.deadline = 0.0

    def run(self) -> dict:
        sentinel, before = self._find_sentinel()
        replicas = self._replicas(before)
        if self.module.check_mode:
            return {"changed": True, "before": before.name, "after": before.name}
        began = time.monotonic()
        self.deadline = began + self.timeout
        with self.servers.connect(before, timeout=self.timeout) as primary:
            fence = Fence(primary, self.timeout)
            try:
                self._await_step(primary, replicas)
                after = self._promote(sentinel, before)
                # Whatever the clients that waited send now is refused, and sent to the new primary.
                primary.call("REPLICAOF", after.host, str(after.port))
                # As Sentinel does: clients find the new primary by connecting anew.
                for kind in ("normal", "pubsub"):
                    primary.call("CLIENT", "KILL", "TYPE", kind)
                with contextlib.suppress(RedisError):
                    primary.call("CONFIG", "REWRITE")
            finally:
                fence.open()
        seconds = time.monotonic() - began
        self._verify(after, {*replicas, before} - {after})
        return {"changed": True, "before": before.name, "after": after.name, "seconds": round(seconds, 1)}

    def _find_sentinel(self) -> tuple[Node, Node]:
        """A Sentinel that sees a majority, and the primary."""
        said = []
        for sentinel in self.watchers:
            try:
                address = ask_sentinel(self.sentinels, sentinel, self.name)
                if not address:
                    said.append(f"{sentinel}: it knows no primary {self.name}")
                    continue
                with self.sentinels.connect(sentinel) as client:
                    client.call("SENTINEL", "CKQUORUM", self.name)
            except (OSError, RedisError) as error:
                said.append(f"{sentinel}: {error}")
                continue
            node = find(self.nodes, *address)
            if node is None:
                raise Problem(f"{sentinel} has {address[0]} port {address[1]} as the primary {self.name}, which is none of {', '.join(map(str, self.nodes))}.")
            return sentinel, node
        raise Problem(f"no Sentinel could carry out a failover of {self.name}: {'; '.join(said)}.")

    def _replicas(self, primary: Node) -> list[Node]:
        states = {node: ask(self.servers, node) for node in self.nodes}
        if states[primary].get("role") != "primary":
            raise Problem(f"the Sentinels have {primary} as the primary, and it is none: {states[primary].get('role') or states[primary]['error']}. "
                          "A failover may be under way; wait for it to end.")
        good = [node for node, seen in states.items() if seen.get("role") == "replica" and seen["link"] == "up"]
        if not good:
            raise Problem(f"{primary} has no replica in good order that could take its place: "
                          + '; '.join(f"{node}: {seen['error'] or seen['link']}" for node, seen in states.items() if node != primary) + '.')
        return good

    def _await_step(self, primary: RedisClient, replicas: list[Node]) -> None:
        offset = int(primary.info("replication")["master_repl_offset"])
        while True:
            late = [node for node in replicas if int(ask(self.servers, node).get("offset", -1)) < offset]
            if not late:
                return
            self._tick(f"{', '.join(map(str, late))} did not get what {offset} bytes of replication hold")

    def _promote(self, sentinel: Node, before: Node) -> Node:
        with self.sentinels.connect(sentinel) as client:
            try:
                client.call("SENTINEL", "FAILOVER", self.name)
            except RedisError as error:
                raise Problem(f"{sentinel} refused a failover: {error}. {before} goes on as the primary.") from error
        while True:
            address = ask_sentinel(self.sentinels, sentinel, self.name)
            after = find(self.nodes, *address) if address else None
            if after and after != before and ask(self.servers, after).get("role") == "primary":
                return after
            self._tick(f"{sentinel} did not bring a failover about")

    def _verify(self, after: Node, others: set[Node]) -> None:
        self.deadline = time.monotonic() + self.timeout
        while True:
            states = {node: ask(self.servers, node) for node in others}
            astray = [
                node for node, seen in states.items()
                if seen.get("role") != "replica" or seen["link"] != "up" or find([after], seen["primary_host"], seen["primary_port"]) is None
            ]
            if not astray:
                return
            if time.monotonic() > self.deadline:
                raise Problem(f"{after} is the primary now, and {', '.join(map(str, astray))} did not follow it yet. Look at the log of Redis there.")
            time.sleep(0.2)

    def _tick(self, what: str) -> None:
        if time.monotonic() > self.deadline:
            raise Problem(f"{what} within {self.timeout} seconds, so it was given up, and the primary goes on as before.")
        time.sleep(0.05)


class Fence:
    """Keeps writes from a server for a while."""

    def __init__(self, client: RedisClient, seconds: int) -> None:
        self._client = client
        self._before = ""
        if tuple(map(int, client.info("server")["redis_version"].split(".")[:2])) >= (6, 2):
            # Longer than this module waits: it ends by itself when nobody is left to end it.
            client.call("CLIENT", "PAUSE", str((seconds + 5) * 1000), "WRITE")
        else:
            self._before = client.config("min-replicas-to-write")["min-replicas-to-write"]
            client.call("CONFIG", "SET", "min-replicas-to-write", "1000")

    def open(self) -> None:
        """Writes go on, and are refused by whoever is a replica by now."""
        if self._before:
            self._client.call("CONFIG", "SET", "min-replicas-to-write", self._before)
        else:
            self._client.call("CLIENT", "UNPAUSE")


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": "mymaster"},
            "nodes": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            "sentinels": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            "login_user": {"type": "str"},
            "login_password": {"type": "str", "no_log": True},
            "sentinel_password": {"type": "str", "no_log": True},
            "tls": TLS,
            "timeout": {"type": "int", "default": 15},
        },
        supports_check_mode=True,
    )
    try:
        result = Failover(module).run()
    except Problem as problem:
        module.fail_json(msg=str(problem))
    except (OSError, RedisError) as error:
        module.fail_json(msg=f"{module.params['name']}: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
