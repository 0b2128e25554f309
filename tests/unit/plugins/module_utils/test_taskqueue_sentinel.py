# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each thing that redis-py and kombu do not do by themselves when a primary changes. Whole workers: molecule/ha.

Here, and not among the roles' tests, because these are run by the oldest Python of a host as well, and so with kombu 5.6 and redis-py 6.4.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import kombu
import pytest
import redis
from celery import Celery
from celery.backends.redis import RedisBackend
from kombu.transport.redis import QoS
from redis._parsers import BaseParser
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection

from ansible_collections.taskqueue.stack.tests.unit.plugins.module_utils.fake_servers import OK, Server, Status

FILE = Path(__file__).parents[4] / "roles/celery_app/files/taskqueue_sentinel.py"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> object:
    """The module, installed as long as the test lasts."""
    spec = importlib.util.spec_from_file_location("taskqueue_sentinel", FILE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    patched = {SentinelManagedConnection: ("send_packed_command", "__init__"), Sentinel: ("discover_master",), QoS: ("restore_unacked",),
               kombu.Connection: ("ensure_connection",), redis.ConnectionPool: ("__repr__",), RedisBackend: ("on_chord_part_return",)}
    for owner, names in patched.items():
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(BaseParser, "EXCEPTION_CLASSES", dict(BaseParser.EXCEPTION_CLASSES))
    loaded.install()
    return loaded


def as_primary(words: list[str]) -> object:
    if words[0] == "LPUSH":
        raise ValueError("NOREPLICAS Not enough good replicas to write.")
    return {"HELLO": {"proto": 3}, "PING": Status("PONG")}.get(words[0], OK)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Two servers; which of them is the primary, the Sentinel says."""
    with Server(as_primary) as first, Server(as_primary) as second:
        yield [first, second]


class Watched:
    """A Sentinel, and connections to the primary that it names."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.server = Server(self.answer)

    def answer(self, words: list[str]) -> object:
        if words[:2] == ["SENTINEL", "MASTERS"]:
            facts = {"name": "mymaster", "ip": "127.0.0.1", "port": str(self.port), "flags": "master", "num-other-sentinels": "2"}
            return [[word for pair in facts.items() for word in pair]]
        return OK

    def connection(self) -> SentinelManagedConnection:
        # By RESP 2, in which a Sentinel's facts are a list.
        sentinel = Sentinel([("127.0.0.1", self.server.port)], sentinel_kwargs={"protocol": 2})
        retry = Retry(NoBackoff(), 3)
        return sentinel.master_for("mymaster", retry=retry, socket_timeout=2).connection_pool.get_connection()

    def times_asked(self) -> int:
        return self.server.asked.count(["SENTINEL", "MASTERS"])


@pytest.fixture
def watched(servers: list[Server]) -> Iterator[Watched]:
    its = Watched(servers[0].port)
    with its.server:
        yield its


@pytest.mark.usefixtures("module")
def test_too_few_replicas_is_an_error_of_the_connection(servers: list[Server]) -> None:
    client = redis.Redis(port=servers[0].port, retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.ConnectionError, match="Not enough good replicas"):
        client.lpush("celery", "a task")
    # Kombu and Celery try again after it, as after any other.
    assert redis.ConnectionError in kombu.Connection("redis://").transport.connection_errors


@pytest.mark.usefixtures("module")
def test_what_is_sent_by_a_lost_connection_goes_to_the_new_primary(servers: list[Server], watched: Watched) -> None:
    connection = watched.connection()
    connection.disconnect()
    watched.port = servers[1].port
    connection.send_command("PING")
    assert (connection.read_response(), ["PING"] in servers[1].asked, ["PING"] in servers[0].asked) == (b"PONG", True, False)


@pytest.mark.usefixtures("module")
def test_a_connection_that_holds_asks_no_sentinel_again(watched: Watched) -> None:
    connection = watched.connection()
    before = watched.times_asked()
    for _number in range(3):
        connection.send_command("PING")
        connection.read_response()
    assert watched.times_asked() == before == 1


@pytest.mark.usefixtures("module")
def test_a_primary_that_is_away_is_tried_once(watched: Watched) -> None:
    connection = watched.connection()
    connection.disconnect()
    before = watched.times_asked()
    with socket.socket() as nobody:
        # Bound and not listening: whoever calls is refused.
        nobody.bind(("127.0.0.1", 0))
        watched.port = nobody.getsockname()[1]
        with pytest.raises(redis.ConnectionError):
            connection.connect()
    assert watched.times_asked() == before + 1


@pytest.mark.usefixtures("module")
def test_a_worker_waits_no_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _seconds: None)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        connection = kombu.Connection(f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(kombu.exceptions.OperationalError):
            # As Celery's worker does.
            connection.ensure_connection(lambda _error, pause: pauses.append(pause), 4, callback=lambda: None)
    assert pauses[-3:] == [2, 2, 2]


@pytest.mark.usefixtures("module")
def test_a_connection_that_is_closed_twice_has_nothing_to_give_back_by(servers: list[Server]) -> None:
    connection = kombu.Connection(f"redis://127.0.0.1:{servers[0].port}")
    channel = connection.channel()
    channel.qos._delivered["its tag"] = "a message"
    # The first time, whatever became of the channels.
    connection._do_close_transport()
    channel.close()
    assert (channel.closed, list(channel.qos._delivered)) == (True, ["its tag"])


@pytest.mark.usefixtures("module")
def test_a_connection_that_holds_gives_back_what_a_worker_had_taken(servers: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    given_back = []
    monkeypatch.setattr(QoS, "restore_by_tag", lambda _self, tag, **_options: given_back.append(tag))
    with kombu.Connection(f"redis://127.0.0.1:{servers[0].port}") as connection:
        qos = connection.channel().qos
        qos._delivered["its tag"] = "a message"
        qos.restore_unacked()
    assert given_back == ["its tag"]


def test_options_of_a_socket_become_numbers(module: object) -> None:
    given = {"socket_keepalive_options": {"TCP_KEEPIDLE": 2, "TCP_OF_ANOTHER_SYSTEM": 1, socket.TCP_KEEPCNT: 4}, "socket_timeout": 5}
    before = {**given, "socket_keepalive_options": dict(given["socket_keepalive_options"])}
    # An application may have numbers of its own, and settings are laid more than once.
    assert module.with_objects(given) == {"socket_keepalive_options": {socket.TCP_KEEPIDLE: 2, socket.TCP_KEEPCNT: 4}, "socket_timeout": 5}
    assert given == before


def test_the_next_sentinel_is_asked_at_once(module: object, watched: Watched) -> None:
    options = module.with_objects({"sentinel_kwargs": {"socket_timeout": 1, "protocol": 2}})["sentinel_kwargs"]
    assert options["socket_timeout"] == 1
    tries = []
    with socket.socket() as nobody, pytest.MonkeyPatch.context() as patched:
        nobody.bind(("127.0.0.1", 0))
        away = nobody.getsockname()[1]
        connect = redis.Connection._connect
        patched.setattr(redis.Connection, "_connect", lambda self: tries.append(self.port) or connect(self))
        found = Sentinel([("127.0.0.1", away), ("127.0.0.1", watched.server.port)], sentinel_kwargs=options).discover_master("mymaster")
    assert (found, tries) == (("127.0.0.1", watched.port), [away, watched.server.port])


def test_a_sentinel_that_is_away_is_waited_for_by_one_connection_alone(module: object, watched: Watched) -> None:
    options = module.with_objects({"sentinel_kwargs": {"protocol": 2}})["sentinel_kwargs"]
    with socket.socket() as nobody, pytest.MonkeyPatch.context() as patched:
        nobody.bind(("127.0.0.1", 0))
        away, there, tries = nobody.getsockname()[1], watched.server.port, []
        connect = redis.Connection._connect
        patched.setattr(redis.Connection, "_connect", lambda self: tries.append(self.port) or connect(self))
        for _connection in range(3):
            Sentinel([("127.0.0.1", away), ("127.0.0.1", there)], sentinel_kwargs=options).discover_master("mymaster")
        assert tries == [away, there, there, there]
        # Who answered last is asked first, and is not the only one.
        with Server(watched.answer) as other, pytest.raises(redis.sentinel.MasterNotFoundError):
            sentinel = Sentinel([("127.0.0.1", other.port), ("127.0.0.1", there)], sentinel_kwargs=options)
            assert sentinel.discover_master("mymaster") == ("127.0.0.1", watched.port)
            watched.server.answer = other.answer = lambda words: [] if words[0] == "SENTINEL" else OK
            sentinel.discover_master("mymaster")
    assert tries[4:] == [there, other.port]


def test_options_without_sentinels_stay_as_they_are(module: object) -> None:
    assert module.with_objects({"visibility_timeout": 30}) == {"visibility_timeout": 30}


@pytest.mark.usefixtures("module")
def test_what_the_sentinels_did_not_say_is_told_without_their_password() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        sentinel = Sentinel([("127.0.0.1", port)], sentinel_kwargs={"password": "s3cret", "retry": Retry(NoBackoff(), 0)})
        with pytest.raises(redis.exceptions.ConnectionError) as error:
            sentinel.discover_master("mymaster")
    assert "s3cret" not in str(error.value) and f"host=127.0.0.1, port={port}" in str(error.value)


def away_for(times: int) -> Callable:
    """Stands in for RedisBackend.on_chord_part_return: the primary is away that many times."""

    def count(_backend: RedisBackend, *args: object, **options: object) -> str:
        count.calls.append((args, options))
        if len(count.calls) <= times:
            raise redis.exceptions.ConnectionError("No master found for 'mymaster'")
        return "counted"

    count.calls = []
    return count


def test_a_part_of_a_chord_is_counted_when_there_is_a_primary_again(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes. Celery's own retry_policy gives up after 20 times."""
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _seconds: None)
    backend, count = RedisBackend(app=Celery(), url="redis://127.0.0.1:1"), away_for(30)
    assert module.as_results_are_stored(count)(backend, "request", "SUCCESS", 1, propagate=True) == "counted"
    assert count.calls == [(("request", "SUCCESS", 1), {"propagate": True})] * 31
    assert RedisBackend.on_chord_part_return.__wrapped__


def test_a_part_that_would_be_counted_twice_is_counted_once(module: object) -> None:
    app = Celery(broker="redis://127.0.0.1:1", backend="redis://127.0.0.1:1")
    app.conf.update(result_backend_transport_options={"result_chord_ordered": False})
    count = away_for(1)
    with pytest.raises(redis.exceptions.ConnectionError):
        module.as_results_are_stored(count)(app.backend, "request", "SUCCESS", 1)
    assert len(count.calls) == 1


def test_a_result_is_stored_when_there_is_a_primary_again(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the inventory's settings rely on: Celery tries again without end, and soon."""
    app = Celery(broker="redis://127.0.0.1:1", backend="redis://127.0.0.1:1")
    app.conf.update(result_backend_always_retry=True, result_backend_max_sleep_between_retries_ms=1000)
    pauses: list[float] = []
    monkeypatch.setattr(RedisBackend, "_sleep", lambda _self, seconds: pauses.append(seconds))
    stored: list[bytes] = []

    def get(_backend: RedisBackend, _key: bytes) -> None:
        if len(pauses) < 30:
            raise redis.exceptions.ConnectionError("No master found for 'mymaster'")

    monkeypatch.setattr(RedisBackend, "get", get)
    monkeypatch.setattr(RedisBackend, "set", lambda _backend, key, _value: stored.append(key))
    app.backend.mark_as_done("task", 1)
    assert (stored, len(pauses), max(pauses) <= 1) == ([app.backend.get_key_for_task("task")], 30, True)
