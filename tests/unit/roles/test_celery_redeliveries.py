"""What is counted, what is not, and what becomes of a task that was begun too often. Whole workers: molecule/hardship."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

FILE = Path(__file__).parents[3] / "roles/celery_app/files/taskqueue_redeliveries.py"
KEY = "shop.celery-task-meta-an-id-redeliveries"


@pytest.fixture
def module(monkeypatch):
    spec = importlib.util.spec_from_file_location("taskqueue_redeliveries", FILE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.setenv("CELERY_MAX_REDELIVERIES", "2")
    return loaded


class FakeRedis:
    """As much of redis.Redis as is used; each command goes to a dictionary."""

    def __init__(self, counts: dict) -> None:
        self.counts, self.commands, self.expires = counts, [], {}

    def execute_command(self, command, key, *arguments):
        self.commands.append(command)
        if command == "INCRBY":
            self.counts[key] = self.counts.get(key, 0) + arguments[0]
        elif command == "DEL":
            return self.counts.pop(key, None)
        return self.counts.get(key)

    def expire(self, key, seconds) -> None:
        self.expires[key] = seconds

    @contextlib.contextmanager
    def pipeline(self):
        yield self

    def execute(self) -> list:
        return list(self.counts.values())


class Thing(SimpleNamespace):
    """A request or a task: Celery keeps both in sets."""

    __hash__ = object.__hash__


class Worker:
    """A consumer with this module's step, a pool that does what it is told, and a request."""

    def __init__(self, module, monkeypatch, counts=None, broken=False) -> None:
        self.log: list[tuple] = []
        self.redis = FakeRedis(counts or {})

        def connect(connection_pool):
            if broken:
                raise OSError("Redis is away")
            return self.redis

        monkeypatch.setattr(module, "Redis", connect)
        channel = SimpleNamespace(
            global_keyprefix="shop.", visibility_timeout=60, conn_or_acquire=lambda: contextlib.nullcontext(SimpleNamespace(connection_pool=None))
        )
        consumer = SimpleNamespace(
            app=SimpleNamespace(backend=SimpleNamespace(task_keyprefix=b"celery-task-meta-")),
            task_consumer=SimpleNamespace(channel=channel),
            on_task_request=lambda request: self.log.append(("executed",)),
        )
        module.Redeliveries(consumer)
        self.deliver = consumer.on_task_request

    def request(self, redelivered=True, acks_late=True) -> Thing:
        def fail(task_id, error, **options):
            self.log.append(("failed", task_id, error, options["store_result"]))

        return Thing(
            id="an-id", name="shop.order", args=("a-secret",), kwargs={}, store_errors=True, _context=None,
            delivery_info={"redelivered": redelivered},
            task=Thing(acks_late=acks_late, backend=SimpleNamespace(mark_as_failure=fail)),
            on_accepted=lambda pid, started: self.log.append(("accepted",)),
            acknowledge=lambda: self.log.append(("acknowledged",)),
            on_failure=lambda info, **options: self.log.append(("failure", info.exception)),
            send_event=lambda name, **fields: self.log.append((name,)),
        )  # fmt: skip


@pytest.mark.parametrize(("redelivered", "acks_late"), [(False, True), (True, False)])
def test_the_ordinary_path_asks_redis_nothing(module, monkeypatch, redelivered, acks_late):
    worker = Worker(module, monkeypatch)
    request = worker.request(redelivered, acks_late)
    worker.deliver(request)
    request.on_accepted(1, 0.0)
    request.acknowledge()
    assert (worker.log, worker.redis.commands) == ([("executed",), ("accepted",), ("acknowledged",)], [])


def test_what_begins_is_counted_and_what_ends_is_forgotten(module, monkeypatch):
    worker = Worker(module, monkeypatch)
    request = worker.request()
    worker.deliver(request)
    assert worker.redis.counts == {}
    request.on_accepted(1, 0.0)
    assert worker.redis.counts == {KEY: 1}
    assert worker.redis.expires == {KEY: 60 + 24 * 3600}
    request.acknowledge()
    assert (worker.log, worker.redis.counts) == ([("executed",), ("accepted",), ("acknowledged",)], {})


@pytest.mark.parametrize("lost", [False, True])
def test_a_task_that_gives_itself_back_is_forgotten_and_one_whose_process_is_lost_is_not(module, monkeypatch, lost):
    worker = Worker(module, monkeypatch)
    request = worker.request()
    worker.deliver(request)
    request.on_accepted(1, 0.0)
    error = module.WorkerLostError("gone") if lost else module.Reject("not now", requeue=True)
    request.on_failure(SimpleNamespace(exception=error), return_ok=True)
    assert worker.log[-1] == ("failure", error)
    assert worker.redis.counts == ({KEY: 1} if lost else {})


def test_deliveries_that_do_not_begin_do_not_count(module, monkeypatch):
    worker = Worker(module, monkeypatch)
    for _time in range(9):
        worker.deliver(worker.request())
    assert worker.log == [("executed",)] * 9


def test_begun_too_often_it_has_failed(module, monkeypatch, caplog):
    worker = Worker(module, monkeypatch)
    for _time in range(2):
        request = worker.request()
        worker.deliver(request)
        request.on_accepted(1, 0.0)
    worker.log.clear()
    told = []
    receiver = module.signals.task_failure.connect(lambda **options: told.append((options["task_id"], options["exception"])), weak=False)
    try:
        worker.deliver(worker.request())
    finally:
        module.signals.task_failure.disconnect(receiver)
    (failed, task_id, error, stored), *rest = worker.log
    assert (failed, task_id, stored) == ("failed", "an-id", True)
    assert isinstance(error, module.WorkerLostError)
    assert "begun anew 2 times" in str(error)
    assert rest == [("task-failed",), ("acknowledged",)]
    assert told == [("an-id", error)]
    assert worker.redis.counts == {}
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "shop.order[an-id]" in line.getMessage()
    assert "a-secret" not in caplog.text


def test_a_failure_that_cannot_be_told_leaves_the_task_where_it_is(module, monkeypatch):
    worker = Worker(module, monkeypatch, counts={KEY: 2})
    request = worker.request()

    def away(*arguments, **options):
        raise OSError("the result backend is away")

    request.task.backend.mark_as_failure = away
    worker.deliver(request)
    assert (worker.log, worker.redis.counts) == ([], {KEY: 2})


def test_without_redis_the_task_runs(module, monkeypatch):
    worker = Worker(module, monkeypatch, broken=True)
    request = worker.request()
    worker.deliver(request)
    request.on_accepted(1, 0.0)
    request.acknowledge()
    assert worker.log == [("executed",), ("accepted",), ("acknowledged",)]


@pytest.mark.parametrize("connection", [None, SimpleNamespace(client=None)])
def test_a_channel_without_a_connection_has_lost_it(module, connection):
    def connection_parameters(channel):
        return {"host": channel.connection.client.hostname}

    wrapped = module.expect_its_loss(connection_parameters)
    with pytest.raises(module.transport.get_redis_error_classes().connection_errors):
        wrapped(SimpleNamespace(connection=connection))
    assert wrapped(SimpleNamespace(connection=SimpleNamespace(client=SimpleNamespace(hostname="queue")))) == {"host": "queue"}


@pytest.mark.parametrize(("limit", "steps"), [("0", 0), ("2", 1)])
def test_no_limit_is_no_step(module, monkeypatch, limit, steps):
    monkeypatch.setenv("CELERY_MAX_REDELIVERIES", limit)
    monkeypatch.setattr(module.transport.Channel, "_connparams", module.transport.Channel._connparams)  # which is put back
    app = SimpleNamespace(steps={"consumer": set()})
    module.install(app)
    assert len(app.steps["consumer"]) == steps
