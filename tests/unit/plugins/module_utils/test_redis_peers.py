# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _redis_peers
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import (
    Node,
    Peers,
    Refusal,
    Word,
    ask,
    ask_at_home,
    ask_sentinel,
    find,
    hear,
    is_loopback,
    passwords_of,
    tls_files,
)
from ansible_collections.taskqueue.stack.tests.unit.plugins.module_utils.fake_servers import OK, HangUp, Server, Status, info

REPLICATION = {
    "primary": info(role="master", connected_slaves=2, master_repl_offset=120),
    "replica": info(role="slave", master_host="redis1", master_port=6379, master_link_status="up", slave_repl_offset=118, master_repl_offset=0),
}


def node(server: Server) -> Node:
    return Node("redis1", "127.0.0.1", server.port)


def behind(password: str, role: str = "primary", **server: object) -> Callable[[list[str]], object]:
    """A server that lets in whoever has this password; all, if it is empty. As Redis words its refusals."""
    state = {"in": not password}

    def answer(words: list[str]) -> object:
        if words[0] == "AUTH":
            if not password:
                raise ValueError("ERR AUTH <password> called without any password configured for the default user. Are you sure?")
            if words[-1] != password:
                raise ValueError("WRONGPASS invalid username-password pair or user is disabled.")
            state["in"] = True
            return OK
        if not state["in"]:
            raise ValueError("NOAUTH Authentication required.")
        if words[0] == "PING":
            return Status("PONG")
        sections = {"replication": REPLICATION[role], "server": info(redis_version="7.0.15", **server)}
        return sections.get(words[1]) or info(db0="keys=7,expires=1", db2="keys=5,expires=0")

    return answer


def logins(server: Server) -> list[list[str]]:
    return [words[1:] for words in server.asked if words[0] == "AUTH"]


def test_the_password_of_before_is_tried_as_well() -> None:
    with Server(behind("old")) as server, Peers((), [("admin", "new"), ("old",)]).connect(node(server)) as client:
        assert client.call("PING") == "PONG"
        assert logins(server) == [["admin", "new"], ["old"]]


def test_no_password_where_none_is_wanted() -> None:
    with Server(behind("")) as server, Peers((), [("secret",)]).connect(node(server)) as client:
        assert client.call("PING") == "PONG"


def test_empty_passwords_are_not_tried() -> None:
    with Server(behind("secret")) as server:
        with pytest.raises(Refusal, match="NOAUTH"):
            Peers((), [(), ("",), ("admin", "")]).connect(node(server))
        assert logins(server) == []


def test_the_first_refusal_is_the_one_that_is_told() -> None:
    with Server(behind("secret")) as server, pytest.raises(Refusal, match="WRONGPASS"):
        Peers((), [("wrong",)]).connect(node(server))


def test_who_hangs_up_refuses() -> None:
    def answer(_words: list[str]) -> object:
        raise HangUp

    with Server(answer) as server, pytest.raises(Refusal, match="closed the connection"):
        Peers((), [("secret",)]).connect(node(server))


def test_who_is_loading_is_let_be() -> None:
    def answer(words: list[str]) -> object:
        if words[0] == "AUTH":
            return OK
        raise ValueError("LOADING Redis is loading the dataset in memory")

    with Server(answer) as server:
        Peers((), [("secret",)]).connect(node(server)).close()
        seen = ask(Peers((), [("secret",)]), node(server))
    assert (seen["answers"], seen["refuses"], seen["error"]) == (False, False, "LOADING Redis is loading the dataset in memory")


def test_what_a_primary_says_of_itself() -> None:
    with Server(behind("", "primary")) as server:
        seen = ask(Peers((), []), node(server))
    assert {key: seen[key] for key in ("answers", "role", "version", "replicas", "offset", "keys", "error")} == {
        "answers": True, "role": "primary", "version": "7.0.15", "replicas": 2, "offset": 120, "keys": 12, "error": "",
    }


def test_what_a_replica_says_of_itself() -> None:
    with Server(behind("", "replica", valkey_version="8.1.4")) as server:
        seen = ask(Peers((), []), node(server))
    assert {key: seen[key] for key in ("role", "version", "primary_host", "primary_port", "link", "offset")} == {
        "role": "replica", "version": "8.1.4", "primary_host": "redis1", "primary_port": 6379, "link": "up", "offset": 118,
    }


def test_who_lets_nobody_in_is_not_taken_for_somebody_who_is_away() -> None:
    with Server(behind("secret")) as server:
        there = node(server)
        seen = ask(Peers((), [("wrong",)]), there)
    assert (seen["answers"], seen["refuses"]) == (False, True)
    # By now it is away.
    seen = ask(Peers((), [("wrong",)]), there)
    assert (seen["answers"], seen["refuses"], seen["error"]) == (False, False, "Connection refused")


def test_who_shows_an_expired_certificate_is_not_taken_for_somebody_who_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_self: Peers, _node: Node) -> None:
        error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)")
        error.verify_message = "certificate has expired"
        raise error

    monkeypatch.setattr(Peers, "connect", connect)
    seen = ask(Peers((), []), Node("redis1", "192.0.2.1", 6379))
    assert (seen["answers"], seen["distrusted"], seen["error"]) == (False, True, "certificate has expired")


def test_who_does_not_run_says_nothing_at_home_either(tmp_path: Path) -> None:
    seen = {"name": "redis1", "answers": False, "error": "refused"}
    path = tmp_path / "redis.conf"
    assert ask_at_home(seen, (), str(path)) is seen
    with Server(behind("", config_file="/etc/other.conf", process_id=7)) as server:
        path.write_text(f"port {server.port}\nbind 127.0.0.1\n", encoding="utf-8")
        # It is there, and belongs to another file.
        assert ask_at_home(seen, (), str(path)) is seen
    assert ask_at_home(seen, (), str(path)) is seen


def test_a_sentinel_says_where_the_primary_is() -> None:
    def answer(words: list[str]) -> object:
        return (["redis2", "6379"] if words[-1] == "mymaster" else None) if words[0] == "SENTINEL" else OK

    with Server(answer) as server:
        assert ask_sentinel(Peers((), []), node(server), "mymaster") == ("redis2", 6379)
        assert ask_sentinel(Peers((), []), node(server), "other") is None


@pytest.mark.parametrize(("name", "expected"), [
    ("mymaster", Word("redis1", ("redis2", 6379), 4, (("redis1", 6379), ("redis3", 6380)))),
    ("other", None),
    # A Sentinel as a package brings it.
    ("loopback", None),
])
def test_what_a_sentinel_knows_of_a_primary(name: str, expected: Word | None) -> None:
    addresses = {"mymaster": ["redis2", "6379"], "loopback": ["127.0.0.1", "6379"]}

    def answer(words: list[str]) -> object:
        if words[:2] == ["SENTINEL", "MASTER"]:
            # While a failover goes on, the old primary is the one that stands here.
            return ["name", name, "ip", "redis1", "port", "6379", "config-epoch", "4"]
        if words[:2] == ["SENTINEL", "SLAVES"]:
            return [["name", "redis1:6379", "ip", "redis1", "port", "6379"], ["name", "redis3:6380", "ip", "redis3", "port", "6380"]]
        return addresses.get(name) if words[0] == "SENTINEL" else OK

    with Server(answer) as server:
        assert hear(Peers((), []), node(server), name) == expected


def test_names_and_addresses_are_the_same_host(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"redis1": "192.0.2.1", "192.0.2.1": "192.0.2.1", "redis2": "192.0.2.2", "192.0.2.2": "192.0.2.2"}

    def resolve(host: str, *_unused: object, **_options: object) -> list[tuple]:
        if host not in known:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr(_redis_peers.socket, "getaddrinfo", resolve)
    nodes = [Node("first", "redis1", 6379), Node("second", "192.0.2.2", 6379), Node("third", "unknown", 6379)]
    found = [find(nodes, host, port) for host, port in (("192.0.2.1", 6379), ("redis2", 6379), ("unknown", 6379), ("192.0.2.1", 7000), ("192.0.2.9", 6379))]
    assert [each and each.name for each in found] == ["first", "second", "third", None, None]


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("192.0.2.1", False),
                                                ("redis1", False)])
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_certificates_are_taken_as_text_and_as_paths(tmp_path: Path) -> None:
    files = dict(tls_files({"ca": "a text\n", "certificate": "/etc/own.crt", "key": None}, str(tmp_path)))
    assert files["tls-cert-file"] == "/etc/own.crt"
    assert Path(files["tls-ca-cert-file"]).read_text(encoding="utf-8") == "a text\n"
    # A key may be among them.
    assert Path(files["tls-ca-cert-file"]).stat().st_mode & 0o777 == 0o600
    assert sorted(files) == ["tls-ca-cert-file", "tls-cert-file"]
    assert tls_files(None, str(tmp_path)) == ()


def test_passwords_of_a_file_that_is_not_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    assert passwords_of(str(path)) == []
    path.write_text('requirepass "a secret"\nmasteruser replication\nmasterauth other\n', encoding="utf-8")
    assert passwords_of(str(path)) == [("a secret",), ("replication", "other")]
