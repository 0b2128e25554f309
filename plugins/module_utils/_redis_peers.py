# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaks to other hosts' servers of Redis and to Sentinels, and tells which of the inventory's hosts an address is."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

from ._redis_client import Endpoint, RedisClient, RedisError
from ._redis_directives import parse, read
from ._redis_running import NotFound, connect, logins

# Seconds. Somebody who is away must not hold up the run, and there may be several.
PATIENCE = 3.0

# What modules take that speak to them.
NODE = {"name": {"type": "str", "required": True}, "host": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}
NODES = {"type": "list", "elements": "dict", "default": [], "options": NODE}
# How modules log in to servers and Sentinels; documented in plugins/doc_fragments/redis_peers.py.
LOGIN_ARGUMENTS = {
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "sentinel_password": {"type": "str", "no_log": True},
    "tls": {
        "type": "dict",
        "options": {"ca": {"type": "str"}, "certificate": {"type": "str"}, "key": {"type": "str", "no_log": True}},
    },
}


@dataclass(frozen=True)
class Node:
    """A server or a Sentinel, as the inventory has it."""

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.name} ({self.host} port {self.port})"


class Refusal(RedisError):
    """Something answers there, and lets nobody in who comes with what is known."""


def addresses(host: str) -> set[str]:
    """What a name or an address stands for; the name itself is one of them."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return {host}
    return {host} | {str(entry[4][0]) for entry in found}


def find(nodes: Iterable[Node], host: str, port: int) -> Node | None:
    """The node with this address; Sentinel and replicas may know it by name or by number."""
    own = addresses(host)
    return next((node for node in nodes if node.port == port and own & addresses(node.host)), None)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls_files(texts: dict[str, str | None] | None, directory: str) -> tuple[tuple[str, str], ...]:
    """What an Endpoint wants, of PEM text or paths. A host that is new has none of the files yet."""
    names = {"ca": "tls-ca-cert-file", "certificate": "tls-cert-file", "key": "tls-key-file"}
    found = []
    for key, text in (texts or {}).items():
        if not text:
            continue
        if not text.startswith("/"):
            handle, path = tempfile.mkstemp(dir=directory)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            text = path
        found.append((names[key], text))
    return tuple(found)


def passwords_of(path: str) -> list[tuple[str, ...]]:
    """What a configuration file of this host has to log in with: when a password is being changed, others still have the old one."""
    return logins(parse(read(path) or ""))


class Peers:
    """How to reach and log in to all of them."""

    def __init__(self, tls: tuple[tuple[str, str], ...], words: Iterable[tuple[str, ...]]) -> None:
        self._tls = tls
        # None comes last: a server without a password minds being told one, and lets the connection be.
        self._words = list(dict.fromkeys([*(word for word in words if word and word[-1]), ()]))

    def connect(self, node: Node, timeout: float = PATIENCE) -> RedisClient:
        """A connection that is logged in. OSError when nobody answers, Refusal when it lets nobody in."""
        client = RedisClient(Endpoint(host=node.host, port=node.port, tls=self._tls), timeout=timeout)
        refusal: Exception | None = None
        for word in self._words:
            try:
                if word:
                    client.call("AUTH", *word)
                client.call("PING")
                return client
            except RedisError as error:
                if str(error).startswith(("LOADING", "MASTERDOWN")):
                    return client
                refusal = refusal or error
            except OSError:
                break
        client.close()
        raise Refusal(str(refusal or "it closed the connection"))


def ask(peers: Peers, node: Node) -> dict[str, object]:
    """What a server says of itself."""
    seen: dict[str, object] = {
        "name": node.name, "host": node.host, "port": node.port, "answers": False, "at_home": False, "refuses": False, "distrusted": False, "error": "",
    }
    try:
        with peers.connect(node) as client:
            return {**seen, "answers": True, **_facts(client)}
    except Refusal as error:
        return {**seen, "refuses": True, "error": str(error)}
    except ssl.SSLCertVerificationError as error:
        return {**seen, "distrusted": True, "error": error.verify_message}
    except (OSError, RedisError) as error:
        return {**seen, "error": getattr(error, "strerror", None) or str(error)}


def ask_at_home(seen: dict[str, object], login: tuple[str, ...], path: str) -> dict[str, object]:
    """What the server with this file on this machine says, wherever it listens now. What was seen of it, where none runs that can be asked.

    The inventory may give it another address, port, certificate or password than it has yet: then nobody else can ask it.
    """
    texts = [text for text in (read(path), read(f"{path}.last-good")) if text is not None]
    try:
        client = connect([parse(text) for text in texts], login, None, path) if texts else None
        if client is None:
            return seen
        with client:
            ports: dict[str, str] = {}
            # A file may rename CONFIG away.
            with contextlib.suppress(RedisError):
                ports = client.config("*port")
            return {
                **seen, "answers": True, "at_home": True, **_facts(client),
                "ports": {kind: int(ports[name]) for kind, name in (("plain", "port"), ("tls", "tls-port")) if name in ports},
            }
    except (NotFound, OSError, RedisError):
        return seen


def _facts(client: RedisClient) -> dict[str, object]:
    told, server, keyspace = (client.info(section) for section in ("replication", "server", "keyspace"))
    is_replica = told.get("role") == "slave"
    return {
        "role": "replica" if is_replica else "primary",
        "version": server.get("valkey_version") or server.get("redis_version", ""),
        "primary_host": told.get("master_host", ""),
        "primary_port": int(told.get("master_port", "0")),
        "link": told.get("master_link_status", ""),
        "replicas": int(told.get("connected_slaves", "0")),
        "offset": int(told.get("slave_repl_offset" if is_replica else "master_repl_offset", "0")),
        "keys": sum(int(value.partition(",")[0].partition("=")[2] or 0) for value in keyspace.values() if value.startswith("keys=")),
    }


@dataclass(frozen=True)
class Word:
    """What one Sentinel says of a primary."""

    by: str
    address: tuple[str, int]
    # It rises with each failover.
    epoch: int
    replicas: tuple[tuple[str, int], ...]


def hear(peers: Peers, node: Node, name: str) -> Word | None:
    """What this Sentinel knows of the primary; None when it has none of that name, or watches what nobody else can reach."""
    with peers.connect(node) as client:
        # Other than SENTINEL MASTER, it names the new primary as soon as there is one.
        answer = client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
        # A Sentinel of a package watches the machine's own loopback until it is told otherwise.
        if not answer or is_loopback(str(answer[0])):
            return None
        known = _pairs(client.call("SENTINEL", "MASTER", name))
        replicas = map(_pairs, client.call("SENTINEL", "SLAVES", name))
        return Word(
            node.name, (str(answer[0]), int(answer[1])), int(known.get("config-epoch", "0")),
            tuple((entry["ip"], int(entry["port"])) for entry in replicas),
        )


def _pairs(words: object) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2]))


def ask_sentinel(peers: Peers, node: Node, name: str) -> tuple[str, int] | None:
    """Where this Sentinel has the primary; None when it has none of that name."""
    with peers.connect(node) as client:
        answer = client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    return (str(answer[0]), int(answer[1])) if answer else None
