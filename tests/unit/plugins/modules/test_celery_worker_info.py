# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Most tests play the workers; the last one asks a real worker on Celery's in-memory transport."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from ansible.module_utils import basic
from celery import Celery
from celery.contrib.testing.worker import start_worker

from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import Client, ClientError, Connection
from ansible_collections.taskqueue.stack.plugins.modules import celery_worker_info

MEMORY = Connection("memory://", "cache+memory://", {})


def task(task_id: str, queue: str = "celery", **more: object) -> dict:
    return {"id": task_id, "name": "shop.pay", "args": ["hunter2"], "kwargs": {"card": "hunter2"},
            "delivery_info": {"routing_key": queue}, **more}


class FakeWorker:
    """What one worker answers; `moves` is what it starts between two looks."""

    def __init__(self, *queues: str, active: int = 0, moves: int = 0, concurrency: int = 2) -> None:
        self.queues, self.moves, self.concurrency = queues, moves, concurrency
        self.active = [task(f"active-{number}", time_start=time.time() - 90) for number in range(active)]
        self.executed = 5

    def answer(self, question: str) -> object:
        if question == "stats":
            self.executed += self.moves
            return {"pid": 1, "uptime": 9, "prefetch_count": 8, "total": {"shop.pay": self.executed},
                    "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": self.concurrency, "processes": [2, 3]}}
        return {
            "ping": {"ok": "pong"},
            "active_queues": [{"name": queue, "exchange": {"name": queue}} for queue in self.queues],
            "active": self.active,
            "reserved": [task("reserved")],
            "scheduled": [{"eta": "2026-01-01T00:00:00", "priority": 6, "request": task("scheduled")}],
            "registered": ["shop.pay [rate_limit=1/s]"],
            "report": {"ok": "\nsoftware -> celery:5.7.0 (sun) kombu:5.7.0 py:3.11.2\n   billiard:4.3.2\nplatform -> x py:9"},
        }[question]


class FakeClient:
    def __init__(self, workers: dict, waiting: list[dict] | None = None, bindings: dict | None = None, unacked: dict | None = None) -> None:
        self.workers, self.waiting = workers, waiting or [{}]
        self.bindings, self.unacked, self.more = bindings or {}, unacked or {}, None

    def connect_broker(self) -> None:
        pass

    def ask(self, question: str, workers: list | None, timeout: float) -> dict:
        answers = {name: worker.answer(question) for name, worker in self.workers.items() if worker and (workers is None or name in workers)}
        if question == "ping":
            answers.update({name: {"ok": "pong"} for name, worker in self.workers.items() if worker is None})
        return answers

    def read_waiting(self, queues: list) -> dict:
        waiting = self.waiting.pop(0) if len(self.waiting) > 1 else self.waiting[0]
        return {queue: waiting.get(queue, {0: 0}) for queue in queues}

    def read_bindings(self, exchanges: set) -> dict:
        return self.bindings

    def read_unacked(self, bindings: dict, more: set) -> tuple:
        self.more = more
        return sum(self.unacked.values()), self.unacked


class Ended(Exception):
    pass


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Run the module in this process and return what it would have printed."""
    def run_module(client=None, check: bool = False, **params) -> dict:
        args = {"interval": 0.01, "timeout": 1, **params, "_ansible_check_mode": check}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        ended: dict = {}

        def end(failed: bool, **result) -> None:
            ended.update(result, failed=failed)
            raise Ended

        monkeypatch.setattr(basic.AnsibleModule, "exit_json", lambda module, **result: end(False, **result))
        monkeypatch.setattr(basic.AnsibleModule, "fail_json", lambda module, **result: end(True, **result))
        if client:
            monkeypatch.setattr(celery_worker_info, "respawn", lambda python: None)
            monkeypatch.setattr(celery_worker_info, "load_connection", lambda *args: MEMORY)
            monkeypatch.setattr(celery_worker_info, "Client", lambda connection, timeout: client)
        with pytest.raises(Ended):
            celery_worker_info.main()
        return ended
    return run_module


def kinds(result: dict) -> list[tuple]:
    assert not result["failed"] and result["changed"] is False
    return [(found["kind"], found["queue"], found["workers"]) for found in result["findings"]]


def test_a_worker_is_described_without_arguments(run) -> None:
    result = run(FakeClient({"a@h": FakeWorker("celery", active=1)}))
    worker, = result["workers"]
    assert (worker["name"], worker["pool"], worker["concurrency"], worker["processes"], worker["prefetch"]) == ("a@h", "prefork", 2, [2, 3], 8)
    assert (worker["pid"], worker["uptime"], worker["executed"], worker["queues"]) == (1, 9, 5, ["celery"])
    assert worker["versions"] == {"celery": "5.7.0", "kombu": "5.7.0", "python": "3.11.2"}
    assert worker["registered"] == ["shop.pay"]
    active, = worker["active"]
    assert (active["id"], active["name"], active["queue"]) == ("active-0", "shop.pay", "celery") and 89 < active["seconds"] < 100
    assert worker["reserved"] == [{"id": "reserved", "name": "shop.pay", "queue": "celery"}]
    assert worker["scheduled"] == [{"id": "scheduled", "name": "shop.pay", "queue": "celery", "eta": "2026-01-01T00:00:00"}]
    assert "hunter2" not in json.dumps(result)


def test_a_queue_has_all_priorities_and_what_is_not_acknowledged(run) -> None:
    depths = [{"celery": {0: 1, 3: 0, 6: 2, 9: 4}}, {"celery": {0: 1, 3: 0, 6: 3, 9: 4}}]
    client = FakeClient({"a@h": FakeWorker("celery", moves=1)}, depths, unacked={"celery": 5})
    result = run(client)
    assert result["queues"] == [{"name": "celery", "depth": 13, "waiting": 8, "unacked": 5, "priorities": {"0": 1, "6": 3, "9": 4},
                                 "growth": 1, "consumers": ["a@h"]}]
    assert result["unacked"] == 5
    assert kinds(result) == []


@pytest.mark.parametrize("workers, found", [
    # Idle: it answers and takes nothing.
    ({"a@h": FakeWorker("celery")}, [("standing_still", "celery", ["a@h"])]),
    ({"a@h": FakeWorker("celery", active=1)}, [("standing_still", "celery", ["a@h"])]),
    ({"a@h": FakeWorker("celery", active=2)}, [("saturated", "celery", ["a@h"])]),
    ({"a@h": FakeWorker("celery", active=2), "b@h": FakeWorker("celery")}, [("standing_still", "celery", ["b@h"])]),
    ({"a@h": FakeWorker("celery"), "b@h": FakeWorker("celery", moves=1)}, []),
    ({"a@h": FakeWorker("celery"), "b@h": FakeWorker("other", moves=1)}, [("standing_still", "celery", ["a@h"])]),
])
@pytest.mark.parametrize("before, after, told", [(3, 3, True), (3, 9, True), (3, 2, False), (0, 3, False), (3, 0, False)])
def test_what_stands_still(run, workers: dict, found: list, before: int, after: int, told: bool) -> None:
    result = run(FakeClient(workers, [{"celery": {0: before}}, {"celery": {0: after}}]))
    assert kinds(result) == (found if told else [])
    if told and found:
        assert f"{after} messages wait, {after - before} more" in result["findings"][0]["message"]


def test_one_look_finds_nothing_that_stands_still(run) -> None:
    assert kinds(run(FakeClient({"a@h": FakeWorker("celery")}, [{"celery": {0: 3}}]), interval=0)) == []


def test_queues_that_nobody_consumes(run) -> None:
    client = FakeClient({"a@h": FakeWorker("celery")}, [{"misspelt": {0: 2}}], {"misspelt": [("misspelt", "misspelt")], "old": [("old", "old")]})
    result = run(client, queues=["reports"])
    assert kinds(result) == [("no_consumer", "misspelt", []), ("no_consumer", "reports", [])]
    # An empty queue that nobody asked for is no news.
    assert [queue["name"] for queue in result["queues"]] == ["celery", "misspelt", "reports"]


def test_worker_that_does_not_answer(run) -> None:
    result = run(FakeClient({"a@h": FakeWorker("celery")}), workers=["a@h", "b@h"])
    assert kinds(result) == [("worker_silent", None, ["b@h"])]
    assert "journalctl -u celery-worker@b on h" in result["findings"][0]["message"]


def test_nobody_answers(run) -> None:
    result = run(FakeClient({}, [{"celery": {0: 1}}], {"celery": [("celery", "celery")]}), workers=["a@h"])
    assert kinds(result) == [("worker_silent", None, ["a@h"]), ("no_consumer", "celery", [])]
    assert result["workers"] == []


def test_schedulers_answer_a_ping_and_nothing_else(run) -> None:
    workers = {"a@h": FakeWorker("celery"), "celerybeat@h": None}
    assert run(FakeClient(workers))["schedulers"] == ["celerybeat@h"]
    result = run(FakeClient({**workers, "named@elsewhere": None}))
    assert kinds(result) == [("two_schedulers", None, ["celerybeat@h", "named@elsewhere"])]
    assert [worker["name"] for worker in result["workers"]] == ["a@h"]


@pytest.mark.parametrize("params, named", [
    ({"queues": ["a b"]}, "queues"), ({"workers": ["celery"]}, "workers"), ({"interval": -1}, "interval"), ({"timeout": 0}, "timeout"),
])
def test_bad_options(run, params: dict, named: str) -> None:
    result = run(FakeClient({}), **params)
    assert result["failed"] and named in result["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_host_without_celery(run, tmp_path, check: bool) -> None:
    result = run(check=check, python=str(tmp_path / "python"))
    assert result["failed"] is not check
    assert result.get("skipped", False) is check


def test_broker_that_does_not_answer(run, monkeypatch) -> None:
    client = FakeClient({})

    def refuse() -> None:
        raise ClientError("broker_unreachable", "Expected the broker to answer")

    monkeypatch.setattr(client, "connect_broker", refuse)
    result = run(client)
    assert result["failed"] and result["reason"] == "broker_unreachable"


def test_documentation_tells_every_value(run) -> None:
    result = run(FakeClient({"a@h": FakeWorker("celery")}), workers=["b@h"])
    returned = yaml.safe_load(celery_worker_info.RETURN)
    assert set(result) - {"failed", "changed"} == set(returned) - {"reason"}
    for name in ("workers", "queues", "findings"):
        assert set(result[name][0]) == set(returned[name]["contains"])


def test_real_worker(run, monkeypatch) -> None:
    app = Celery("worker", broker=MEMORY.broker_url, backend=MEMORY.result_backend, set_as_current=False)
    app.conf.update(worker_direct=True, broker_transport_options={"polling_interval": 0.01})
    client = Client(MEMORY, 10)
    # What asks Redis itself.
    monkeypatch.setattr(client, "read_waiting", lambda queues: {queue: {0: 0} for queue in queues})
    monkeypatch.setattr(client, "read_bindings", lambda exchanges: {})
    monkeypatch.setattr(client, "read_unacked", lambda bindings, more: (0, {}))
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30, hostname="real@h"):
        result = run(client, timeout=5, workers=["real@h"])
    worker, = result["workers"]
    assert (worker["name"], worker["pool"], worker["queues"]) == ("real@h", "solo", ["celery", "real@h.dq2"])
    assert worker["versions"]["celery"] == result["celery"]
    assert kinds(result) == []


def test_keys_of_a_worker_s_own_for_what_it_has_taken(run) -> None:
    apart, alike = FakeWorker("long"), FakeWorker("celery")
    options = {"visibility_timeout": 60, "unacked_key": "unacked.long", "unacked_index_key": "unacked_index.long"}
    answer = apart.answer
    apart.answer = lambda question: {**answer(question), "broker": {"transport_options": options}} if question == "stats" else answer(question)
    client = FakeClient({"long@h": apart, "a@h": alike})
    run(client)
    assert client.more == {("unacked_index.long", "unacked.long")}
