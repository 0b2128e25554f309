# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import sys
import threading
import warnings
from pathlib import Path

import pytest
from ansible.module_utils.common import respawn as ansible_respawn
from redis import exceptions
from redis.sentinel import MasterNotFoundError

from ansible_collections.taskqueue.stack.plugins.module_utils import celery_client
from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import (
    Client, ClientError, Connection, check_url, find_kind, find_secrets, load_connection, make_app, read_env_file, redact,
    respawn,
)

SECRET = "s3cr3t-never-shown"
URL = "redis://h:6379/0"


@pytest.fixture
def write(tmp_path: Path):
    def write_env(content: str) -> str:
        path = tmp_path / "celery.env"
        path.write_text(content, encoding="utf-8")
        return str(path)
    return write_env


def catch(function, *args) -> ClientError:
    with pytest.raises(ClientError) as caught:
        function(*args)
    assert SECRET not in str(caught.value)
    return caught.value


# The environment file

def test_env_file_is_read_as_a_shell_would(write) -> None:
    path = write("# comment\n\n; comment\nA='redis://:a%40\"b@h#1'\nB=\"x \\\"y\\\"\"\n C=plain\nD=\nE='{\"k\": \"it\\u0027s é\"}'\n")
    assert read_env_file(path) == {
        "A": 'redis://:a%40"b@h#1', "B": 'x "y"', "C": "plain", "D": "", "E": '{"k": "it\\u0027s é"}'}


@pytest.mark.parametrize("line", [
    f"A='{SECRET}", f"A={SECRET} b", f"export A={SECRET}", f"1A={SECRET}", SECRET, f"A = {SECRET}"])
def test_malformed_line_is_named_by_its_number(write, line: str) -> None:
    error = catch(read_env_file, write(f"B=1\n{line}\n"))
    assert error.reason == "env_file_malformed"
    assert "line 2" in str(error)


def test_env_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert catch(read_env_file, str(tmp_path / "none")).reason == "env_file_missing"
    assert catch(read_env_file, str(tmp_path)).reason == "env_file_unreadable"
    (tmp_path / "latin1").write_bytes(b"A='\xff'")
    assert catch(read_env_file, str(tmp_path / "latin1")).reason == "env_file_malformed"


# What to connect to

def test_connection_comes_from_the_file(write) -> None:
    path = write(
        "CELERY_BROKER_URL='redis://h/0'\nCELERY_RESULT_BACKEND='redis://h/1'\n"
        "CELERY_SETTINGS='{\"task_default_queue\": \"q\", \"imports\": [\"proj\"], "
        "\"broker_transport_options\": {\"master_name\": \"m\", \"sep\": \"x\"}}'\n")
    connection = load_connection(path, transport_options={"master_name": "n", "global_keyprefix": None})
    assert connection[:2] == ("redis://h/0", "redis://h/1")
    assert connection.settings == {
        "task_default_queue": "q",
        "broker_transport_options": {"master_name": "n", "sep": "x"},
        "result_backend_transport_options": {"master_name": "n"},
    }


@pytest.mark.parametrize("given, expected", [
    ({}, ("redis://h/0", "redis://h/1")),
    ({"broker_url": "redis://o/2"}, ("redis://o/2", "redis://o/2")),
    ({"result_backend": "redis://o/3"}, ("redis://h/0", "redis://o/3")),
])
def test_what_is_given_wins_over_the_file(write, given: dict, expected: tuple) -> None:
    path = write("CELERY_BROKER_URL=redis://h/0\nCELERY_RESULT_BACKEND=redis://h/1\n")
    assert load_connection(path, **given)[:2] == expected


def test_file_may_be_absent_only_beside_a_broker_url() -> None:
    assert load_connection("/none", "redis://o")[:2] == ("redis://o", "redis://o")
    assert catch(load_connection, "/none", None, "redis://o").reason == "env_file_missing"


@pytest.mark.parametrize("content, named", [
    ("CELERY_RESULT_BACKEND=redis://h\n", "CELERY_BROKER_URL"),
    ("CELERY_BROKER_URL=redis://h\n", "CELERY_RESULT_BACKEND"),
    (f"CELERY_SETTINGS='{{\"a\": \"{SECRET}\"'\n", "CELERY_SETTINGS"),
    ("CELERY_SETTINGS='[]'\n", "CELERY_SETTINGS"),
    ("CELERY_SETTINGS='{\"broker_transport_options\": 1}'\n", "broker_transport_options"),
])
def test_incomplete_file_is_refused(write, content: str, named: str) -> None:
    error = catch(load_connection, write(content))
    assert error.reason == "env_file_malformed"
    assert named in str(error)


def test_bad_url_is_refused_with_its_source(write) -> None:
    path = write("CELERY_BROKER_URL=redis://h\nCELERY_RESULT_BACKEND=redis://h/queue\n")
    assert f"CELERY_RESULT_BACKEND in {path}" in str(catch(load_connection, path))
    assert "broker_url" in str(catch(load_connection, path, "redis://"))


@pytest.mark.parametrize("url", [
    "redis://h", "redis://:p%40@h:1/2", "rediss://u:p@[::1]:6379/0?ssl_cert_reqs=required", "sentinel://a:1/0;sentinel://b:2/0"])
def test_good_url_is_accepted(url: str) -> None:
    check_url(url, "x")


@pytest.mark.parametrize("url", [
    f"redis://:a/{SECRET}@h:6379/0", f"redis://:12#{SECRET}@h/0", f"redis://:12/{SECRET}@h/0", f"redis://:a?{SECRET}@h:1/0",
    f"amqp://:{SECRET}@h", "redis://", "redis://h:port", "redis://h:99999", "redis://[::1", "redis://h/queue", SECRET])
def test_bad_url_is_refused_unseen(url: str) -> None:
    error = catch(check_url, url, "broker_url")
    assert error.reason == "bad_url"
    assert "broker_url" in str(error)


# No secrets

@pytest.mark.parametrize("url, shown", [
    (URL, URL),
    (f"redis://u:{SECRET}@h:1/2", "redis://u:**@h:1/2"),
    (f"redis://:{SECRET}@[::1]:1/2", "redis://:**@[::1]:1/2"),
    (f"redis://{SECRET}@h", "redis://**@h"),
    (SECRET, "**"),
    (f"redis://:a/b@;{SECRET}@h/0", "redis://:**@h/0"),
    (f"redis://h/0?password={SECRET}", "redis://h/0"),
    (f"sentinel://u:{SECRET}@a:1/0;sentinel://u:{SECRET}@b:2/0", "sentinel://u:**@a:1/0;sentinel://u:**@b:2/0"),
])
def test_redact(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_every_password_is_known_and_taken_out() -> None:
    settings = {"broker_transport_options": {"sentinel_kwargs": {"password": "sentinel-pw", "username": "u"}}}
    connection = Connection("redis://:a%40b@h", "sentinel://x:one@h;sentinel://x:two@h", settings)
    assert find_secrets(connection) == {"a%40b", "a@b", "one", "two", "sentinel-pw"}
    text = Client(connection, 1).scrub("a@b a%40b <redis.client.Redis(password=q)> sentinel-pw")
    assert text == "** ** ... **"


# Celery

def test_app_knows_only_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "redis://other")
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "no_such_module")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "no_such_module")
    with warnings.catch_warnings():
        # Celery warns when it would have loaded Django.
        warnings.simplefilter("error")
        conf = make_app(Connection(URL, URL, {"task_default_queue": "q"}), 30).conf
    assert (conf.broker_url, conf.broker_write_url, conf.result_backend) == (URL, URL, URL)
    assert conf.task_default_queue == "q"


def test_app_reads_nothing_but_json() -> None:
    conf = make_app(Connection(URL, URL, {}), 30).conf
    assert (conf.accept_content, conf.result_accept_content) == (["json"], ["json"])


@pytest.mark.parametrize("timeout, limit", [(2, 2), (60, celery_client.CONNECT_LIMIT)])
def test_every_connection_has_a_time_limit(timeout: float, limit: float) -> None:
    options = {"global_keyprefix": "x", "socket_timeout": None, "sentinel_kwargs": {"password": "p"}}
    conf = make_app(Connection(URL, URL, {"broker_transport_options": options}), timeout).conf
    limits = {"socket_timeout": limit, "socket_connect_timeout": limit}.items()
    assert limits <= conf.broker_transport_options.items()
    assert limits <= conf.broker_transport_options["sentinel_kwargs"].items()
    assert limits <= conf.result_backend_transport_options["sentinel_kwargs"].items()
    assert conf.broker_transport_options["sentinel_kwargs"]["retry"].get_retries() == 0
    assert (conf.redis_socket_timeout, conf.redis_socket_connect_timeout) == (limit, limit)
    assert conf.broker_transport_options["global_keyprefix"] == "x"
    assert conf.broker_transport_options["sentinel_kwargs"]["password"] == "p"


def test_python_without_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    assert catch(make_app, Connection(URL, URL, {}), 1).reason == "celery_missing"


# What went wrong

@pytest.fixture
def listener():
    """Start a server on loopback that greets whoever connects, and return its port."""
    sockets = []

    def listen(greeting: bytes) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                connection.sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[1]

    yield listen
    for server in sockets:
        server.close()


def caused(error: Exception, cause: Exception) -> Exception:
    error.__context__ = cause
    return error


@pytest.mark.parametrize("error, kind", [
    (exceptions.AuthenticationError("invalid username-password pair or user is disabled."), "auth_failed"),
    (MasterNotFoundError("No master found for 'm' : ... - AuthenticationError('x')"), "auth_failed"),
    (exceptions.NoPermissionError("this user has no permissions to run the 'get' command"), "no_permission"),
    (exceptions.ResponseError("DENIED Redis is running in protected mode"), "protected_mode"),
    (exceptions.ResponseError("DB index is out of range"), "error"),
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "error"),
    (caused(exceptions.ConnectionError("Error 1 connecting"), ssl.SSLError("CERTIFICATE_VERIFY_FAILED")), "tls_failed"),
    (exceptions.ConnectionError("Error 111 connecting to 127.0.0.1:1. Connection refused."), "unreachable"),
    (exceptions.TimeoutError("Timeout connecting to server"), "unreachable"),
    (ValueError("A rediss:// URL must have parameter ssl_cert_reqs"), "bad_settings"),
])
def test_kind_of_error(error: Exception, kind: str) -> None:
    assert find_kind(error, "redis://127.0.0.1:1/0") == kind
    assert kind in celery_client.HINTS


@pytest.mark.parametrize("scheme, greeting, kind", [
    ("redis", b"-DENIED Redis is running in protected mode", "protected_mode"),
    ("redis", b"", "unreachable"),
    ("rediss", b"", "tls_failed"),
])
def test_lost_connection_is_looked_at_again(listener, scheme: str, greeting: bytes, kind: str) -> None:
    error = exceptions.ConnectionError("Error 32 while writing to socket. Broken pipe.")
    assert find_kind(error, f"{scheme}://127.0.0.1:{listener(greeting)}/0") == kind


def test_unreachable_broker_is_named_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = Client(Connection(f"redis://u:{SECRET}@127.0.0.1:{port}/0", URL, {}), 30)
    error = catch(client.connect)
    assert error.reason == "broker_unreachable"
    assert f"redis://u:**@127.0.0.1:{port}/0" in str(error) and "111" in str(error)


def test_wrong_settings_are_no_traceback() -> None:
    settings = {"broker_transport_options": {"sentinel_kwargs": 3}}
    assert catch(Client, Connection(URL, URL, settings), 1).reason == "broker_bad_settings"


# Messages that nobody took

class FakeRedis:
    def __init__(self, lists: dict, may_look: bool = True, may_remove: bool = True) -> None:
        self.lists, self.may_look, self.may_remove = lists, may_look, may_remove

    def __call__(self, connection_pool: object) -> FakeRedis:
        return self

    def llen(self, key: str) -> int:
        return len(self.lists.get(key, []))

    def lrange(self, key: str, start: int, end: int) -> list:
        if not self.may_look:
            raise exceptions.NoPermissionError("this user has no permissions to run the 'lrange' command")
        return list(self.lists.get(key, []))

    def lrem(self, key: str, count: int, value: bytes) -> None:
        if not self.may_remove:
            raise exceptions.NoPermissionError("this user has no permissions to run the 'lrem' command")
        self.lists[key].remove(value)


class FakeChannel:
    pool = None
    global_keyprefix = "pre."


def message(task_id: str) -> bytes:
    return json.dumps({"body": "", "headers": {"id": task_id, "root_id": "mine"}}).encode()


@pytest.mark.parametrize("may_look, may_remove, found, left", [
    (True, True, {"mine"}, [b"not JSON", message("other")]),
    (True, False, {"mine"}, [b"not JSON", message("mine"), message("other")]),
    (False, False, {"mine", "taken"}, [b"not JSON", message("mine"), message("other")]),
])
def test_take_back(monkeypatch, may_look: bool, may_remove: bool, found: set, left: list) -> None:
    redis = FakeRedis({"pre.q": [b"not JSON", message("mine"), message("other")]}, may_look, may_remove)
    monkeypatch.setattr("redis.Redis", redis)
    client = Client(Connection(URL, URL, {}), 1)
    client.channel = FakeChannel()
    assert client.take_back("q", {"mine", "taken"}) == (found, 3)
    assert redis.lists["pre.q"] == left
    assert client.take_back("empty", {"mine"}) == (set(), 0)


class FakeQueues:
    """A Redis with the keys that kombu keeps, which notes the commands of a pipeline until it is executed."""

    def __init__(self, keys: dict, may_scan: bool = True) -> None:
        self.keys, self.may_scan, self.commands = keys, may_scan, []

    def __call__(self, connection_pool: object) -> FakeQueues:
        return self

    def pipeline(self, transaction: bool) -> FakeQueues:
        self.commands = []
        return self

    def execute(self, raise_on_error: bool = True) -> list:
        return self.commands

    def llen(self, key: str) -> None:
        value = self.keys.get(key, [])
        self.commands.append(value if isinstance(value, Exception) else len(value))

    def smembers(self, key: str) -> None:
        self.commands.append(set(self.keys.get(key, [])))

    def hget(self, key: str, tag: bytes) -> None:
        self.commands.append(self.keys[key].get(tag))

    def zcount(self, key: str, low: str, high: str) -> int:
        return len(self.keys[key])

    def zrange(self, key: str, start: int, end: int) -> list:
        return self.keys[key]

    def scan(self, cursor: int, match: str, count: int) -> tuple:
        if not self.may_scan:
            raise exceptions.NoPermissionError("this user has no permissions to run the 'scan' command")
        # Two steps.
        found = [key.encode() for key in self.keys if key.startswith(match[:-1])]
        return (1, found[:1]) if not cursor else (0, found[1:])


SEP = "\x06\x16"
BINDINGS = {
    "pre._kombu.binding.celery": [f"celery{SEP}{SEP}celery".encode()],
    "pre._kombu.binding.orders": [f"new{SEP}{SEP}incoming".encode()],
    "pre._kombu.binding.celery.pidbox": [f"{SEP}{SEP}a@h.celery.pidbox".encode()],
    "pre._kombu.binding.reply.celery.pidbox": [f"x{SEP}{SEP}x.reply.celery.pidbox".encode()],
    "pre._kombu.binding.celeryev": [f"worker.#{SEP}{SEP}celeryev.1".encode()],
}


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch):
    def make(keys: dict, may_scan: bool = True) -> Client:
        monkeypatch.setattr("redis.Redis", FakeQueues(keys, may_scan))
        client = Client(Connection(URL, URL, {}), 1)
        client.channel = FakeChannel()
        client.channel.sep, client.channel.priority_steps = SEP, [0, 3, 6, 9]
        client.channel.keyprefix_queue = "_kombu.binding.%s"
        client.channel.unacked_key, client.channel.unacked_index_key = "unacked", "unacked_index"
        return client
    return make


def test_waiting_messages_are_counted_in_the_list_of_each_priority(queues) -> None:
    client = queues({"pre.celery": [b"1", b"2"], f"pre.celery{SEP}9": [b"3"]})
    assert client.read_waiting(["celery", "empty"]) == {"celery": {0: 2, 3: 0, 6: 0, 9: 1}, "empty": dict.fromkeys([0, 3, 6, 9], 0)}


def test_queue_that_the_user_may_not_look_into_counts_as_empty(queues) -> None:
    client = queues({"pre.celery": [b"1"], "pre.other": exceptions.NoPermissionError("no permissions to access one of the keys")})
    assert {name: sum(counts.values()) for name, counts in client.read_waiting(["celery", "other"]).items()} == {"celery": 1, "other": 0}
    client = queues({"pre.celery": exceptions.ResponseError("WRONGTYPE")})
    assert catch(client.read_waiting, ["celery"]).reason == "broker_error"


@pytest.mark.parametrize("may_scan, found", [
    (True, {"celery": [("celery", "celery")], "orders": [("new", "incoming")]}),
    (False, {"celery": [("celery", "celery")]}),
])
def test_bindings_without_those_of_remote_control(queues, may_scan: bool, found: dict) -> None:
    assert queues(BINDINGS, may_scan).read_bindings({"celery"}) == found


def test_unacknowledged_messages_belong_to_the_queue_they_were_sent_to(queues) -> None:
    sent = {b"1": ("celery", "celery"), b"2": ("orders", "new"), b"3": ("", "a@h.dq2"), b"4": ("celery", "celery")}
    keys = {
        "pre.unacked_index": [*sent, b"gone"],
        "pre.unacked": {tag: json.dumps([{"body": ""}, *route]).encode() for tag, route in sent.items()},
    }
    bindings = {"celery": [("celery", "celery")], "orders": [("new", "incoming")]}
    assert queues(keys).read_unacked(bindings) == (5, {"celery": 2, "incoming": 1, "a@h.dq2": 1})
    own = {"pre.unacked_index.long": [b"5"], "pre.unacked.long": {b"5": json.dumps([{"body": ""}, "orders", "new"]).encode()}}
    both = queues({**keys, **own}).read_unacked(bindings, {("unacked_index.long", "unacked.long"), ("unacked_index", "unacked")})
    assert both == (6, {"celery": 2, "incoming": 2, "a@h.dq2": 1})


# The interpreter

def test_respawn_names_what_is_wrong_with_the_interpreter(tmp_path: Path) -> None:
    python = tmp_path / "python"
    assert catch(respawn, str(python)).reason == "python_missing"
    python.write_text("", encoding="utf-8")
    assert catch(respawn, str(python)).reason == "python_missing"


def test_respawn_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(python: str) -> None:
        raise OSError(8, "Exec format error")

    monkeypatch.setattr(ansible_respawn, "respawn_module", refuse)
    assert "Exec format error" in str(catch(respawn, sys.executable))


def test_respawned_module_never_imports_from_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ansible_respawn, "has_respawned", lambda: True)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    respawn(os.devnull)
    assert "" not in sys.path
