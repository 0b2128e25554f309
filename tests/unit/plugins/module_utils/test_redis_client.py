# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import getpass
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.molecule.shared.certificates import Authority
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import Endpoint, RedisClient, RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directives import parse
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_running import NotFound, connect, endpoints, logins
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_throwaway import ThrowAway

FAKE = Path(__file__).with_name("fake_redis.py")


@pytest.fixture
def peer() -> Iterator[Callable[[bytes], tuple[RedisClient, list[bytes]]]]:
    """A client of a server that answers with these bytes, whatever it is asked, and what it was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients = []

    def answering(reply: bytes) -> tuple[RedisClient, list[bytes]]:
        heard: list[bytes] = []

        def serve() -> None:
            connection = listener.accept()[0]
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        clients.append(RedisClient(Endpoint(host="127.0.0.1", port=listener.getsockname()[1]), {"config": "hidden"}))
        return clients[-1], heard

    yield answering
    for client in clients:
        client.close()
    listener.close()


@pytest.mark.parametrize(
    ("raw", "reply"),
    [
        (b"+PONG\r\n", "PONG"),
        (b":42\r\n", 42),
        (b"$-1\r\n", None),
        (b"$4\r\na\r\nb\r\n", "a\r\nb"),
        ("$3\r\nä\n\r\n".encode(), "ä\n"),
        (b"*3\r\n$1\r\na\r\n:1\r\n*1\r\n$0\r\n\r\n", ["a", 1, [""]]),
    ],
)
def test_answers_are_understood(peer: Callable, raw: bytes, reply: object) -> None:
    assert peer(raw)[0].call("PING") == reply


def test_words_are_sent_as_they_are(peer: Callable) -> None:
    client, heard = peer(b"+OK\r\n")
    client.call("SET", "a b", 'ü"\r\n')
    assert heard == ['*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$5\r\nü"\r\n\r\n'.encode()]


def test_renamed_commands_are_called_by_their_new_names(peer: Callable) -> None:
    client, heard = peer(b"*0\r\n")
    assert client.config() == {}
    assert heard[0].startswith(b"*3\r\n$6\r\nhidden\r\n")


def test_errors_are_told_apart(peer: Callable) -> None:
    with pytest.raises(RedisError, match="^it is so$"):
        peer(b"-ERR it is so.\r\n")[0].call("PING")
    with pytest.raises(ConnectionError, match="closed"):
        peer(b"$10\r\nabc")[0].call("PING") and peer(b"")[0].call("PING")
    with pytest.raises(ConnectionError, match="does not speak"):
        peer(b"HTTP/1.1 400 Bad Request\r\n")[0].call("PING")


def test_users_are_the_same_whether_or_not_the_default_is_shown(peer: Callable) -> None:
    line = "user default on nopass sanitize-payload ~* &* +@all"
    assert peer(f"*1\r\n${len(line)}\r\n{line}\r\n".encode())[0].users() == {"default": "on nopass ~* &* +@all"}


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        # Redis 6.2 lists single commands in another order in each process.
        ("user a on ~* -@all +@pubsub +get -psubscribe +client|setname +brpop", "on ~* -@all +@pubsub +brpop +client|setname +get -psubscribe"),
        # Elsewhere the order decides.
        ("user a on -@all +get +@all -get", "on -@all +get +@all -get"),
        ("user a on +config|get -config (~k +set +get)", "on -config +config|get (~k +set +get)"),
    ],
)
def test_single_commands_have_no_order(peer: Callable, line: str, rules: str) -> None:
    assert peer(f"*1\r\n${len(line)}\r\n{line}\r\n".encode())[0].users() == {"a": rules}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["127.0.0.1 port 6379"]),
        ("bind 10.0.0.5 -::1 127.0.0.1\nport 7000\n", ["::1 port 7000", "127.0.0.1 port 7000", "10.0.0.5 port 7000"]),
        ("bind * -::*\n", ["127.0.0.1 port 6379", "::1 port 6379"]),
        ("unixsocket /run/redis.sock\nport 0\n", ["/run/redis.sock"]),
        ("port 0\ntls-port 7001\ntls-cert-file /c\ntls-key-file-pass hunter22\n", ["127.0.0.1 port 7001 (TLS)"]),
    ],
)
def test_where_a_configuration_listens(text: str, found: list[str]) -> None:
    assert list(map(str, endpoints(parse(text)))) == found
    assert "hunter22" not in repr(endpoints(parse(text)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ('requirepass ""\n', []),
        ("requirepass a\nrequirepass b\n", [("b",)]),
        ("user default on >a >b\nuser bob on >c\n", [("default", "a"), ("default", "b")]),
        ("aclfile /a\nmasterauth m\n", [("m",)]),
        ("aclfile /a\nmasterauth m\nmasteruser ops\n", [("ops", "m")]),
    ],
)
def test_which_logins_a_configuration_suggests(text: str, found: list) -> None:
    assert logins(parse(text)) == found


class TestConnect:
    """Against a running server; a throw-away one serves."""

    @pytest.fixture
    def running(self, tmp_path: Path) -> Iterator[ThrowAway]:
        program = tmp_path / "redis-server"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
        program.chmod(0o755)
        with ThrowAway(str(program), getpass.getuser(), "requirepass hunter22\n") as server:
            yield server

    def texts(self, running: ThrowAway, *more: str) -> list:
        return [parse(text) for text in (*more, f"port 0\nunixsocket {running.client.config()['unixsocket']}\n")]

    def process_id(self, running: ThrowAway) -> int:
        return int(running.client.info("server")["process_id"])

    def test_the_process_of_the_service_is_the_one(self, running: ThrowAway) -> None:
        found = connect(self.texts(running), ("hunter22",), self.process_id(running), "/etc/redis/redis.conf")
        with found:
            assert found.version() == "7.0.15"

    def test_a_password_of_an_older_file_serves(self, running: ThrowAway) -> None:
        found = connect(self.texts(running, "port 0\nrequirepass older\n", "port 0\nrequirepass hunter22\n"), (), self.process_id(running), "/x")
        found.close()

    def test_a_wrong_password_is_no_absence(self, running: ThrowAway) -> None:
        with pytest.raises(NotFound, match="WRONGPASS") as caught:
            connect(self.texts(running), ("hunter33",), self.process_id(running), "/x")
        assert caught.value.login_refused
        assert "hunter33" not in str(caught.value)

    def test_another_redis_is_not_ours(self, running: ThrowAway) -> None:
        for process_id in (1, None):
            with pytest.raises(NotFound, match="another Redis, process") as caught:
                connect(self.texts(running), ("hunter22",), process_id, "/etc/redis/redis.conf")
            assert not caught.value.login_refused

    def test_nothing_there(self, tmp_path: Path) -> None:
        texts = [parse(f"port 0\nunixsocket {tmp_path}/none\n")]
        assert connect(texts, (), None, "/x") is None
        with pytest.raises(NotFound, match="No such file"):
            connect(texts, (), 4711, "/x")

    def test_no_password_goes_to_another_machine(self) -> None:
        # An address of TEST-NET-3 (RFC 5737), which no machine has.
        assert connect([parse("bind 203.0.113.7\n")], ("hunter22",), None, "/x") is None


class TlsServer:
    """Answers PONG to whoever has a certificate of its CA, with the certificate that it was started with."""

    def __init__(self, place: Path, authority: Authority, **validity: float) -> None:
        self.files = {"tls-cert-file": place / "s.crt", "tls-key-file": place / "s.key", "tls-ca-cert-file": place / "ca.crt"}
        self.authority = authority
        self.renew(**validity)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.files["tls-cert-file"], self.files["tls-key-file"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def renew(self, **validity: float) -> None:
        certificate, key = self.authority.issue("redis1", **validity)
        for path, text in zip(self.files.values(), (certificate, key, self.authority.pem)):
            path.write_text(text)

    def _serve(self) -> None:
        # Whoever does not like the certificate hangs up.
        while self.listener.fileno() >= 0:
            with contextlib.suppress(OSError), self.context.wrap_socket(self.listener.accept()[0], server_side=True) as connection:
                connection.recv(100)
                connection.sendall(b"+PONG\r\n")

    def ping(self) -> object:
        files = tuple((name, str(path)) for name, path in self.files.items())
        with RedisClient(Endpoint(host="127.0.0.1", port=self.listener.getsockname()[1], tls=files)) as client:
            return client.call("PING")


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[Callable[..., TlsServer]]:
    servers = []

    def start(**validity: float) -> TlsServer:
        servers.append(TlsServer(tmp_path, Authority(), **validity))
        return servers[-1]

    yield start
    for server in servers:
        server.listener.close()


def test_a_server_with_a_certificate_of_its_ca_is_the_one(tls_server: Callable[..., TlsServer]) -> None:
    server = tls_server()
    assert server.ping() == "PONG"
    # The file has been renewed, and the server has not read it yet.
    server.renew()
    assert server.ping() == "PONG"


def test_a_server_whose_own_certificate_has_expired_is_still_the_one(tls_server: Callable[..., TlsServer]) -> None:
    server = tls_server(start=-3, end=-1)
    assert server.ping() == "PONG"
    before = server.files["tls-cert-file"].read_text()
    server.renew()
    with pytest.raises(ssl.SSLCertVerificationError):
        server.ping()
    Path(f"{server.files['tls-cert-file']}.last-good").write_text(before)
    assert server.ping() == "PONG"


def test_a_stranger_s_certificate_is_refused(tls_server: Callable[..., TlsServer]) -> None:
    server = tls_server()
    server.authority = Authority(name="another")
    server.renew()
    with pytest.raises(ssl.SSLCertVerificationError):
        server.ping()
