# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaks to a Redis server on this machine, by its protocol (RESP2, redis.io/docs/latest/develop/reference/protocol-spec).

Not through redis-cli: here no secret enters a process list, an environment or a file, a value may hold any byte, and one
connection outlasts the changes of password, port and address that are made through it.
"""

from __future__ import annotations

import itertools
import re
import socket
import ssl
from dataclasses import dataclass, field

from ._certificates import blocks

_ONE_COMMAND = re.compile(r"[+-][^@()]+$")


class RedisError(Exception):
    """The server answered with an error."""


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens: the path of a socket, or an address with a port."""

    unixsocket: str = ""
    host: str = ""
    port: int = 0
    # Empty without TLS. The server's own certificate and key serve as the client's: with `tls-auth-clients yes` it wants one.
    tls: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.unixsocket or f"{self.host} port {self.port}" + (" (TLS)" if self.tls else "")


def _tls_context(files: dict[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate names the host that clients use, which is not the address by which a process of the same machine is asked.
    context.check_hostname = False
    if files.get("tls-cert-file"):
        context.load_cert_chain(files["tls-cert-file"], files.get("tls-key-file") or None, files.get("tls-key-file-pass") or "")
    trusted = {"cafile": files.get("tls-ca-cert-file"), "capath": files.get("tls-ca-cert-dir")}
    if any(trusted.values()):
        context.load_verify_locations(**{name: path or None for name, path in trusted.items()})
    return context


def _own_certificates(path: str) -> list[bytes]:
    """The server's certificate as the file has it, and as it had it when the server last read it."""
    found = []
    for name in (path, f"{path}.last-good"):
        try:
            with open(name, encoding="utf-8", errors="replace") as stream:
                found += [ssl.PEM_cert_to_DER_cert(block.strip()) for block in blocks(stream.read(), "CERTIFICATE")[:1]]
        except FileNotFoundError:
            continue
    return found


def _connect_tls(endpoint: Endpoint, timeout: float) -> ssl.SSLSocket:
    files = dict(endpoint.tls)
    context, address = _tls_context(files), (endpoint.host, endpoint.port)
    try:
        return context.wrap_socket(socket.create_connection(address, timeout))
    except ssl.SSLCertVerificationError:
        # It may have expired, and this be the run that renews it. Then it still is the very one that lies in the server's file,
        # and the handshake has proven that the peer has its key.
        context.verify_mode = ssl.CERT_NONE
        secured = context.wrap_socket(socket.create_connection(address, timeout))
        if secured.getpeercert(binary_form=True) in _own_certificates(files.get("tls-cert-file", "")):
            return secured
        secured.close()
        raise


class RedisClient:
    """One connection. Errors of the network are OSError, those that the server answers are RedisError."""

    def __init__(self, endpoint: Endpoint, renamed: dict[str, str] | None = None, timeout: float = 5.0) -> None:
        self._renamed = renamed or {}
        if endpoint.unixsocket:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout)
            try:
                self._socket.connect(endpoint.unixsocket)
            except OSError:
                self._socket.close()
                raise
        elif endpoint.tls:
            self._socket = _connect_tls(endpoint, timeout)
        else:
            self._socket = socket.create_connection((endpoint.host, endpoint.port), timeout)
        self._replies = self._socket.makefile("rb")

    def __enter__(self) -> RedisClient:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave. The server needs no word for it."""
        self._replies.close()
        self._socket.close()

    def call(self, command: str, *words: str) -> object:
        """The server's answer to one command: text, a number, None, or a list of those."""
        name = self._renamed.get(command.lower(), command)
        encoded = [word.encode("utf-8", "surrogateescape") for word in (name, *words)]
        self._socket.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded))
        return self._reply()

    def config(self, pattern: str = "*") -> dict[str, str]:
        """The running configuration."""
        words = self.call("CONFIG", "GET", pattern)
        return dict(zip(words[::2], words[1::2]))

    def info(self, section: str) -> dict[str, str]:
        """One section of INFO."""
        pairs = (line.partition(":") for line in self.call("INFO", section).splitlines())
        return {name: value for name, colon, value in pairs if colon}

    def version(self) -> str:
        """The server's version: Valkey's own where it is Valkey, which also claims to be a Redis."""
        info = self.info("server")
        return info.get("valkey_version", info["redis_version"])

    def users(self) -> dict[str, str]:
        """The rules of each ACL user, as ACL LIST puts them: normalised, passwords as hashes."""
        lines = (line.split(" ", 2) for line in self.call("ACL", "LIST"))
        # The default, which the same user shows or not depending on whether it was read from a file (ACLDescribeUser() in acl.c).
        return {name: _in_order([rule for rule in rules.split(" ") if rule != "sanitize-payload"]) for _word, name, rules in lines}

    def _line(self) -> bytes:
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        return line[:-2]

    def _reply(self) -> object:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RedisError(_text(rest).removeprefix("ERR ").rstrip("."))
        if kind == b"+":
            return _text(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else _text(self._replies.read(int(rest) + 2)[:-2])
        if kind == b"*":
            return [self._reply() for _index in range(int(rest))]
        raise ConnectionError("what answers there does not speak the Redis protocol")


def _in_order(rules: list[str]) -> str:
    """Rules for single commands by name, which puts a command before its own subcommands.

    Up to 6.2 they come in the order of a hash table, and so another in each process (ACLDescribeUserCommandRules() in acl.c).
    """
    groups = itertools.groupby(rules, lambda rule: _ONE_COMMAND.match(rule) is not None)
    return " ".join(rule for single, group in groups for rule in (sorted(group, key=lambda rule: rule[1:]) if single else group))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
