# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the running server that belongs to a configuration file, and nobody else's, and logs in."""

from __future__ import annotations

import os
import socket

from ._redis_client import Endpoint, RedisClient, RedisError
from ._redis_directives import Directive, last
from ._redis_throwaway import stated

_TLS_FILES = ("tls-cert-file", "tls-key-file", "tls-key-file-pass", "tls-ca-cert-file", "tls-ca-cert-dir")
_LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::*": "::1", "::": "::1"}


def endpoints(directives: list[Directive]) -> list[Endpoint]:
    """Where a server with this configuration listens, the most private place first."""
    found = []
    if stated(directives, "unixsocket", ""):
        found.append(Endpoint(unixsocket=stated(directives, "unixsocket", "")))
    hosts = [_LOOPBACK.get(word.lstrip("-"), word.lstrip("-")) for word in last(directives, "bind") or ("",)]
    hosts.sort(key=lambda host: host not in ("127.0.0.1", "::1"))
    files = tuple((name, stated(directives, name, "")) for name in _TLS_FILES)
    for name, default, tls in (("port", "6379", ()), ("tls-port", "0", files)):
        port = stated(directives, name, default)
        if port.isdigit() and port != "0":
            found += [Endpoint(host=host, port=int(port), tls=tls) for host in hosts]
    return found


def logins(directives: list[Directive]) -> list[tuple[str, ...]]:
    """The words of AUTH that this configuration suggests: the default user's, and those with which servers log in to each other.

    An ACL file holds only hashes. Then the latter are the ones that somebody with access to the file can know.
    """
    password = last(directives, "requirepass")
    found = [password] if password and password != ("",) else []
    among_servers = last(directives, "masterauth")
    if among_servers and among_servers != ("",):
        found.append((*(last(directives, "masteruser") or ()), *among_servers))
    for item in directives:
        if item.name == "user" and item.args[:1] == ("default",):
            found += [("default", word[1:]) for word in item.args if word.startswith(">")]
    return found


class NotFound(Exception):
    """Something runs, and it cannot be talked to. The text lists what was tried and what came of it."""

    def __init__(self, message: str, login_refused: bool) -> None:
        super().__init__(message)
        self.login_refused = login_refused


def connect(
    configurations: list[list[Directive]],
    login: tuple[str, ...],
    process_id: int | None,
    path: str,
    earlier: tuple[str, ...] = (),
) -> RedisClient | None:
    """A connection with the server of `path`; None when nothing answers anywhere.

    More than one configuration, because a run that was cut off may have left a server that is older than its file.
    `earlier` is the login that was valid before, where no configuration suggests it.
    With a process id (of the service), that process alone is the one. Without, the server that names `path` as its file.
    """
    places = dict.fromkeys(place for directives in configurations for place in endpoints(directives) if _is_here(place))
    suggested = [found for directives in configurations for found in logins(directives)]
    words = list(dict.fromkeys([*([login] if login else []), (), *suggested, *([earlier] if earlier else [])]))
    renamed = {item.args[0].lower(): item.args[1] for item in configurations[0] if item.name == "rename-command" and len(item.args) == 2}
    silent, strange, refused = [], [], []
    for place in places:
        try:
            client = RedisClient(place, renamed)
        except OSError as error:
            silent.append(f"{place}: {error.strerror or error}")
            continue
        try:
            info = _log_in(client, words)
        except RedisError as error:
            refused.append(f"{place}: {error}")
        except (OSError, ValueError) as error:
            strange.append(f"{place}: {error}")
        else:
            ours = os.path.realpath(info["config_file"]) == os.path.realpath(path)
            if int(info["process_id"]) == process_id or (process_id is None and ours):
                return client
            strange.append(f"{place}: another Redis, process {info['process_id']} with {info['config_file'] or 'no file'}")
        client.close()
    if refused or strange or process_id:
        raise NotFound("; ".join(refused + strange + silent), login_refused=bool(refused))
    return None


def _is_here(place: Endpoint) -> bool:
    """Whether it is this machine's. A mistaken address may be another's, and a password must not be sent there."""
    if place.unixsocket:
        return True
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(place.host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def _log_in(client: RedisClient, words: list[tuple[str, ...]]) -> dict[str, str]:
    refusal: Exception | None = None
    for login in words:
        info: dict[str, str] = {}
        try:
            if login:
                client.call("AUTH", *login)
            info = client.info("server")
            # Servers may log in to each other as somebody who can read this, and can configure nothing.
            client.call("CONFIG", "GET", "port")
            return info
        except RedisError as error:
            # Without CONFIG, which rename-command may have taken away, there is still something to be told.
            if info and not str(error).startswith("NOPERM"):
                return info
            # "Authenticate first" says less than what the server has against a password.
            if refusal is None or login:
                refusal = error
        except OSError as error:
            # It said why before it hung up.
            raise refusal or error from error
    raise refusal
