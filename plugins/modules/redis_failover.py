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
  - When it comes to nothing, the primary goes on as before. Once Sentinel has begun, writes wait until it has ended or given up, which it
    does after twice its C(failover-timeout) at the latest.
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
  timeout:
    description:
      - Seconds for replicas to get what they lack before writes have to wait, and afterwards to follow the new primary, and for all Sentinels
        to hear of it.
      - Those for what is left when writes wait follow from Sentinel's C(down-after-milliseconds), as it may find the primary to be down
        meanwhile. At most they are two.
    type: int
    default: 15
extends_documentation_fragment:
  - taskqueue.stack.redis_peers
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
import signal
import time
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import (
    LOGIN_ARGUMENTS,
    NODE,
    Node,
    Peers,
    ask,
    ask_sentinel,
    find,
    tls_files,
)


# What ends a module whose play is cut off.
SIGNALS = (signal.SIGHUP, signal.SIGTERM)
# Seconds that writes wait at a time.
PAUSE = 10


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

    def run(self) -> dict:
        sentinel, before, settings = self._find_sentinel()
        replicas = self._replicas(before)
        if self.module.check_mode:
            return {"changed": True, "before": before.name, "after": before.name}
        # While writes go on. Then a moment is enough to get the rest.
        self._await_step(before, replicas, self.timeout)
        began = time.monotonic()
        fence = Fence(self.servers, before, self.module.warn)
        try:
            fence.close()
            # Sentinels publish their greeting by the connection by which they ask whether it is alive, and PUBLISH waits, too. What they
            # hear no more from they replace, so the writes go on before that.
            self._await_step(before, replicas, min(2.0, int(settings["down-after-milliseconds"]) / 2000))
            after = self._promote(sentinel, before, 2 * int(settings["failover-timeout"]) / 1000 + 5, fence)
        except BaseException:
            be_deaf()
            fence.open()
            raise
        self._demote(before, after, fence)
        seconds = time.monotonic() - began
        self._verify(after, {*replicas, before} - {after})
        return {"changed": True, "before": before.name, "after": after.name, "seconds": round(seconds, 1)}

    def _find_sentinel(self) -> tuple[Node, Node, dict[str, str]]:
        """A Sentinel that sees a majority, the primary, and what else it has of that."""
        said = []
        for sentinel in self.watchers:
            try:
                address = ask_sentinel(self.sentinels, sentinel, self.name)
                if not address:
                    said.append(f"{sentinel}: it knows no primary {self.name}")
                    continue
                with self.sentinels.connect(sentinel) as client:
                    client.call("SENTINEL", "CKQUORUM", self.name)
                    settings = pairs(client.call("SENTINEL", "MASTER", self.name))
            except (OSError, RedisError) as error:
                said.append(f"{sentinel}: {error}")
                continue
            node = find(self.nodes, *address)
            if node is None:
                raise Problem(f"{sentinel} has {address[0]} port {address[1]} as the primary {self.name}, which is none of {', '.join(map(str, self.nodes))}.")
            return sentinel, node, settings
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
        # By what it last heard of them, which may be ten seconds old, Sentinel might choose one of these.
        late = [node for node, seen in states.items() if seen.get("role") == "replica" and node not in good]
        if late:
            raise Problem(f"{late[0]} answers and does not get the data of {primary}, and might be the one that Sentinel chooses. See the log of Redis "
                          "there, or stop it (systemctl stop), and run this again.")
        return good

    def _await_step(self, primary: Node, replicas: list[Node], seconds: float) -> None:
        """Until each replica has all that the primary has now."""
        deadline = time.monotonic() + seconds
        with self.servers.connect(primary) as client:
            offset = int(client.info("replication")["master_repl_offset"])
        while True:
            late = [node for node in replicas if int(ask(self.servers, node).get("offset", -1)) < offset]
            if not late:
                return
            if time.monotonic() > deadline:
                raise Problem(f"{', '.join(map(str, late))} did not get all that {primary} has within {seconds:g} seconds, so nothing was handed over, and "
                              f"{primary} goes on as the primary. See redis-cli info replication there, and run this again.")
            time.sleep(0.05)

    def _promote(self, sentinel: Node, before: Node, seconds: float, fence: Fence) -> Node:
        # Sentinel does not take it back, and it ends soon.
        be_deaf()
        with self.sentinels.connect(sentinel) as client:
            try:
                client.call("SENTINEL", "FAILOVER", self.name)
            except RedisError as error:
                raise Problem(f"{sentinel} refused a failover: {error}. {before} goes on as the primary.") from error
        deadline = time.monotonic() + seconds
        while True:
            # Where the old primary is lost, it takes no writes either, and what becomes of it is to be found out.
            with contextlib.suppress(OSError, RedisError):
                fence.close()
            ended, after = self._hear(sentinel)
            if after and after != before and ask(self.servers, after).get("role") == "primary":
                return after
            if ended and after == before:
                raise Problem(f"{sentinel} began a failover and gave it up (its log says why), so {before} goes on as the primary.")
            if time.monotonic() > deadline:
                raise Problem(f"{sentinel} did not bring a failover about within {seconds:g} seconds. The Sentinels have {after or 'nobody that is known'} as "
                              f"the primary now: see redis-cli -p {sentinel.port} sentinel master {self.name} there, before anything else is done.")
            time.sleep(0.05)

    def _hear(self, sentinel: Node) -> tuple[bool, Node | None]:
        """Whether this Sentinel is through with its failover, and who is the primary by its word, or another's where it is gone."""
        for each in (sentinel, *self.watchers):
            with contextlib.suppress(OSError, RedisError), self.sentinels.connect(each) as client:
                # In this order: one that has ended by now has named the new primary before.
                flags = pairs(client.call("SENTINEL", "MASTER", self.name))["flags"]
                address = client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
                return each == sentinel and "failover_in_progress" not in flags, find(self.nodes, address[0], int(address[1]))
        return False, None

    def _demote(self, before: Node, after: Node, fence: Fence) -> None:
        try:
            # Not by a connection of before: Sentinel may have cut it.
            with self.servers.connect(before) as client:
                # Whatever the clients that waited send now is refused, and sent to the new primary.
                client.call("REPLICAOF", after.host, str(after.port))
                # As Sentinel does: clients find the new primary by connecting anew.
                for kind in ("normal", "pubsub"):
                    client.call("CLIENT", "KILL", "TYPE", kind)
                # A replica takes no writes in any case, and the fence is not to get into its file.
                fence.open()
                with contextlib.suppress(RedisError):
                    client.call("CONFIG", "REWRITE")
        except (OSError, RedisError) as error:
            raise Problem(f"{after} is the primary now, and {before} could not be told to follow it ({error}). Sentinel tells it when it answers again; "
                          "then run taskqueue.stack.site.") from error

    def _verify(self, after: Node, others: set[Node]) -> None:
        deadline = time.monotonic() + self.timeout
        while True:
            states = {node: ask(self.servers, node) for node in others}
            version = release(ask(self.servers, after).get("version", ""))
            astray = [
                node for node, seen in states.items()
                if seen.get("role") != "replica" or find([after], seen["primary_host"], seen["primary_port"]) is None
                # In an upgrade it is the next, and until then it may not understand what the new primary sends.
                or (seen["link"] != "up" and release(seen["version"]) >= version)
            ]
            # They tell each other every two seconds. Until then they send clients to the old one.
            behind = [sentinel for sentinel in self.watchers if self._primary_of(sentinel) not in (None, after)]
            if not astray and not behind:
                return
            if time.monotonic() > deadline and astray:
                raise Problem(f"{after} is the primary now, and {', '.join(map(str, astray))} did not follow it yet. Look at the log of Redis there.")
            if time.monotonic() > deadline:
                raise Problem(f"{after} is the primary now, and the Sentinels {', '.join(map(str, behind))} did not hear of it yet, so clients that ask them "
                              "find none. See in their logs whether they reach the others.")
            time.sleep(0.2)

    def _primary_of(self, sentinel: Node) -> Node | None:
        with contextlib.suppress(OSError, RedisError):
            address = ask_sentinel(self.sentinels, sentinel, self.name)
            return find(self.nodes, *address) if address else None
        return None


class Fence:
    """Keeps writes from a server for a while."""

    def __init__(self, servers: Peers, node: Node, warn: Callable[[str], None]) -> None:
        self._servers, self._node, self._warn = servers, node, warn
        self._until, self._before = 0.0, ""

    def close(self) -> None:
        """Writes wait. Where nobody is left to end that, it ends by itself; so it has to be said again while it is to last."""
        if self._before or time.monotonic() < self._until - PAUSE / 2:
            return
        with self._servers.connect(self._node) as client:
            if release(client.info("server")["redis_version"]) >= (6, 2):
                self._until = time.monotonic() + PAUSE
                client.call("CLIENT", "PAUSE", str(PAUSE * 1000), "WRITE")
            else:
                self._before = client.config("min-replicas-to-write")["min-replicas-to-write"]
                client.call("CONFIG", "SET", "min-replicas-to-write", "1000")

    def open(self) -> None:
        """Writes go on, and are refused by whoever is a replica by now."""
        command = ("CONFIG", "SET", "min-replicas-to-write", self._before) if self._before else ("CLIENT", "UNPAUSE")
        if not self._before and not self._until:
            return
        try:
            with self._servers.connect(self._node) as client:
                client.call(*command)
        except (OSError, RedisError) as error:
            # A pause ends by itself.
            if self._before:
                self._warn(f"{self._node} could not be told to take writes again ({error}): run redis-cli {' '.join(command).lower()} there.")


def release(version: str) -> tuple[int, ...]:
    """Its first two numbers."""
    return tuple(map(int, version.split(".")[:2])) if version else ()


def pairs(words: object) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2]))


def be_deaf() -> None:
    """From here on to be cut off would do harm."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def stop(number: int, _frame: object) -> None:
    """Ends the run as an error would, so that writes go on."""
    raise Problem(f"stopped by {signal.Signals(number).name} before anything was handed over. The primary goes on as before.")


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": "mymaster"},
            "nodes": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            "sentinels": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            **LOGIN_ARGUMENTS,
            "timeout": {"type": "int", "default": 15},
        },
        supports_check_mode=True,
    )
    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        result = Failover(module).run()
    except Problem as problem:
        module.fail_json(msg=str(problem))
    except (OSError, RedisError) as error:
        module.fail_json(msg=f"{module.params['name']}: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
