# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Most tests play the workers; the last ones let a real worker run on Celery's in-memory transport."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
import yaml
from ansible.module_utils import basic
from celery import Celery
from celery.contrib.testing.worker import start_worker

from ansible_collections.taskqueue.stack.plugins.module_utils import _smoke_test
from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import UNREADABLE, Client, ClientError, Connection
from ansible_collections.taskqueue.stack.plugins.modules import celery_smoke_test

MEMORY = Connection("memory://", "cache+memory://", {})
ALIVE = {"a@h": ["celery", "a@h.dq2"], "b@h": ["b@h.dq2", "other"]}


class FakeClient:
    """Workers that answer at once, by the rules of a test."""

    def __init__(self, answers: dict | None = None, reply=None, forget_error: ClientError | None = None) -> None:
        self.app = SimpleNamespace(conf=SimpleNamespace(task_default_queue="celery"))
        self.answers = ALIVE if answers is None else answers
        self.forget_error = forget_error
        self.reply = reply or (lambda args, kwargs: {"status": "SUCCESS", "result": args[kwargs["index"]]})
        self.results: dict = {}
        self.sent: list = []
        self.forgotten: list = []
        self.taken_back: set = set()
        self.asked = None

    def connect(self) -> None:
        pass

    def send(self, task_id, task, args, kwargs, queue, expires) -> None:
        self.sent.append((task, queue, expires))
        if any(queue in queues for queues in self.answers.values()):
            self.results[task_id] = self.reply(args, kwargs)

    def fetch(self, task_id):
        return self.results.get(task_id)

    def forget(self, task_ids) -> None:
        self.forgotten += task_ids
        if self.forget_error:
            raise self.forget_error

    def take_back(self, queue, task_ids):
        found = {task_id for task_id in task_ids if task_id not in self.results}
        self.taken_back |= found
        return found, 7

    def ask_queues(self, workers=None):
        self.asked = workers
        return {name: queues for name, queues in self.answers.items() if workers is None or name in workers}

    def scrub(self, text: str) -> str:
        return text.replace("hunter2", "**")


class Ended(Exception):
    pass


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Run the module in this process and return what it would have printed."""
    def run_module(client=None, check: bool = False, **params) -> dict:
        args = {"timeout": 0.02, **params, "_ansible_check_mode": check}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        ended: dict = {}

        def end(module, failed: bool, **result) -> None:
            ended.update(result, failed=failed, hidden=module.no_log_values)
            raise Ended

        monkeypatch.setattr(basic.AnsibleModule, "exit_json", lambda module, **result: end(module, False, **result))
        monkeypatch.setattr(basic.AnsibleModule, "fail_json", lambda module, **result: end(module, True, **result))
        if client:
            monkeypatch.setattr(celery_smoke_test, "respawn", lambda python: None)
            monkeypatch.setattr(_smoke_test, "load_connection", lambda *args: MEMORY)
            monkeypatch.setattr(_smoke_test, "Client", lambda connection, timeout: client)
        with pytest.raises(Ended):
            celery_smoke_test.main()
        return ended
    return run_module


def test_default_queue_and_echo(run) -> None:
    client = FakeClient()
    result = run(client)
    assert not result["failed"] and result["changed"] is False
    assert (result["sent"], result["succeeded"], result["failed_tasks"]) == (6, 6, 0)
    assert [task["first"] for task in result["tasks"]] == [True] + [False] * 5
    assert all(task["result"] == task["id"] and task["target"] == "queue celery" for task in result["tasks"])
    assert client.forgotten == [task["id"] for task in result["tasks"]]
    assert client.asked is None
    assert {task for task, queue, expires in client.sent} == {"celery.accumulate"}
    assert all(_smoke_test.EXPIRY_MARGIN <= expires <= _smoke_test.EXPIRY_MARGIN + 1 for *unused, expires in client.sent)


def test_each_worker_gets_its_own_tasks(run) -> None:
    client = FakeClient()
    result = run(client, workers=["a@h", "b@h"], queues=["other"], count=2)
    # All targets are proven before any is measured.
    assert [queue for unused, queue, expires in client.sent] == [
        "other", "a@h.dq2", "b@h.dq2", "other", "a@h.dq2", "b@h.dq2"]
    assert result["workers"] == ["a@h", "b@h"]
    assert [task["worker"] for task in result["tasks"]] == [None, "a@h", "b@h"] * 2


def test_worker_that_the_result_names(run) -> None:
    result = run(FakeClient(reply=lambda args, kwargs: {"status": "SUCCESS", "result": args[0], "worker": "a@h"}))
    assert result["workers"] == ["a@h"]


def test_round_trips_leave_the_first_task_out() -> None:
    task = _smoke_test.Task("1", "t", "q", False, None, "SUCCESS")
    times = [4.0, 1.0, 2.0, 3.0, 100.0]
    tasks = [_smoke_test.Task("0", "t", "q", True, None, "SUCCESS", round_trip_ms=90.0)]
    tasks += [_smoke_test.Task(**{**vars(task), "round_trip_ms": ms}) for ms in times]
    result = _smoke_test.report(tasks)
    assert result["round_trip_ms"] == {"min": 1.0, "median": 3.0, "p95": 100.0, "max": 100.0}
    assert result["first_round_trip_ms"] == {"min": 90.0, "median": 90.0, "p95": 90.0, "max": 90.0}


def test_without_tasks_there_are_no_times() -> None:
    result = _smoke_test.report([])
    assert (result["round_trip_ms"], result["first_round_trip_ms"]) == (None, None)


@pytest.mark.parametrize("expected, failed", [(5, False), ("5", True), (None, False)])
def test_expected_is_compared_when_given(run, expected: object, failed: bool) -> None:
    client = FakeClient(reply=lambda args, kwargs: {"status": "SUCCESS", "result": sum(args)})
    result = run(client, task="proj.add", args=[2, 3], expected=expected)
    assert result["failed"] is failed
    if failed:
        assert result["reason"] == "wrong_result" and '"5"' in result["msg"] and "returned 5" in result["msg"]


def test_echo_of_own_arguments_is_not_compared(run) -> None:
    assert not run(FakeClient(), args=["x", "y"], kwargs={"index": 1})["failed"]


@pytest.mark.parametrize("reply, reason, words", [
    ({"status": "SUCCESS", "result": "other"}, "wrong_result", '"other"'),
    ({"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["pw hunter2"]}}, "task_failed", "ValueError: pw **"),
    ({"status": "FAILURE", "result": {"exc_type": "NotRegistered", "exc_message": ["x"]}}, "not_registered", "does not know it"),
    ({"status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["expired"]}}, "task_revoked", "clocks"),
    ({"status": UNREADABLE, "result": None}, "unreadable_result", "result_serializer"),
    ({"status": "STARTED", "result": {"pid": 1}}, "not_finished", "state STARTED"),
])
def test_task_that_fails(run, reply: dict, reason: str, words: str) -> None:
    client = FakeClient(reply=lambda args, kwargs: reply)
    result = run(client)
    assert result["failed"] and result["reason"] == result["tasks"][0]["reason"] == reason
    assert words in result["msg"] and "hunter2" not in result["msg"] and "Look at" in result["msg"]
    assert (result["sent"], result["succeeded"], result["failed_tasks"]) == (1, 0, 1)
    assert client.forgotten == [result["tasks"][0]["id"]]


@pytest.mark.parametrize("params, answers, reason, words", [
    ({"queues": ["none"]}, ALIVE, "no_consumer", "a@h consumes celery"),
    ({"queues": ["none"]}, {}, "no_consumer", "No worker answers"),
    ({"workers": ["c@h"]}, ALIVE, "worker_silent", "celery-worker@c"),
    ({"workers": ["c@h"]}, {"c@h": ["celery"]}, "no_consumer", "worker_direct"),
])
def test_task_that_nobody_takes(run, params: dict, answers: dict, reason: str, words: str) -> None:
    client = FakeClient(answers)
    result = run(client, **params)
    assert result["failed"] and result["reason"] == reason
    assert words in result["msg"]
    assert client.taken_back == {result["tasks"][0]["id"]}


def test_consumer_that_does_not_take(run, monkeypatch) -> None:
    client = FakeClient()
    monkeypatch.setattr(client, "fetch", lambda task_id: None)
    monkeypatch.setattr(client, "take_back", lambda queue, task_ids: (task_ids, 7))
    result = run(client)
    assert result["reason"] == "not_taken" and "7 tasks wait" in result["msg"]


def test_workers_that_cannot_be_asked(run, monkeypatch) -> None:
    client = FakeClient()

    def refuse(workers):
        raise ClientError("broker_no_permission", "NOPERM publish")

    monkeypatch.setattr(client, "ask_queues", refuse)
    result = run(client, queues=["none"])
    assert result["reason"] == "not_taken" and "NOPERM publish" in result["msg"]


def test_each_failing_target_is_named(run) -> None:
    result = run(FakeClient(), workers=["c@h", "a@h"], queues=["none"])
    assert result["reason"] == "no_consumer"
    assert "queue none:" in result["msg"] and "worker c@h:" in result["msg"] and "worker a@h:" not in result["msg"]
    assert [task["reason"] for task in result["tasks"]] == ["no_consumer", "worker_silent", None]


def test_failing_clean_up_does_not_hide_the_failure(run) -> None:
    error = ClientError("backend_unreachable", "gone")
    assert run(FakeClient(forget_error=error), queues=["none"])["reason"] == "no_consumer"
    assert run(FakeClient(forget_error=error))["reason"] == "backend_unreachable"


def test_too_slow(run) -> None:
    def reply(args, kwargs) -> dict:
        time.sleep(0.003)
        return {"status": "SUCCESS", "result": args[0]}

    result = run(FakeClient(reply=reply), max_round_trip_ms=2, timeout=10)
    assert result["failed"] and result["reason"] == "too_slow"
    assert result["succeeded"] == 6
    assert not run(FakeClient(reply=reply), max_round_trip_ms=5000, timeout=10)["failed"]


def test_types_beyond_json_become_text(run) -> None:
    result = run(FakeClient(reply=lambda args, kwargs: {"status": "SUCCESS", "result": {"at": object}}), task="x")
    assert json.dumps(result["tasks"])


@pytest.mark.parametrize("params, named", [
    ({"queues": ["a b"]}, "queues"),
    ({"queues": [""]}, "queues"),
    ({"workers": ["celery"]}, "workers"),
    ({"workers": ["a @h"]}, "workers"),
    ({"count": 0}, "count"),
    ({"timeout": 0}, "timeout"),
    ({"count": 1, "max_round_trip_ms": 5}, "count"),
    ({"transport_options": {"sentinel_kwargs": {}}}, "sentinel_kwargs"),
])
def test_bad_options(run, params: dict, named: str) -> None:
    client = FakeClient()
    result = run(client, **params)
    assert result["failed"] and named in result["msg"]
    assert not client.sent


# Check mode

def test_check_mode_asks_and_sends_nothing(run) -> None:
    client = FakeClient()
    result = run(client, check=True, workers=["a@h"])
    assert not result["failed"] and result["sent"] == 0 and result["workers"] == ["a@h"]
    assert client.asked == ["a@h"] and not client.sent


def test_check_mode_finds_what_is_missing(run) -> None:
    assert run(FakeClient(), check=True, workers=["c@h"])["reason"] == "worker_silent"
    assert run(FakeClient(), check=True, queues=["none"])["reason"] == "no_consumer"


@pytest.mark.parametrize("check", [True, False])
def test_host_without_celery(run, tmp_path, check: bool) -> None:
    result = run(check=check, python=str(tmp_path / "python"))
    assert result["failed"] is not check
    assert result.get("skipped", False) is check
    assert str(tmp_path) in result["msg"]


# Secrets

def test_urls_are_hidden_unless_there_is_nothing_to_hide(run) -> None:
    hidden = run(FakeClient(), broker_url="redis://:hunter2@h", result_backend="redis://h/1")["hidden"]
    assert hidden == {"redis://:hunter2@h"}


# The documentation. Its options are compared by the sanity test validate-modules.

def test_documentation_tells_every_value(run) -> None:
    result = run(FakeClient())
    returned = yaml.safe_load(celery_smoke_test.RETURN)
    assert set(result) - {"failed", "changed", "hidden"} == set(returned) - {"reason"}
    assert set(result["tasks"][0]) == set(returned["tasks"]["contains"])


# With a real worker

@pytest.fixture(scope="module")
def worker():
    app = Celery("worker", broker=MEMORY.broker_url, backend=MEMORY.result_backend, set_as_current=False)
    app.conf.update(
        worker_direct=True, task_ignore_result=True, broker_transport_options={"polling_interval": 0.01})

    @app.task(name="boom")
    def boom(text: str) -> int:
        return int(text)

    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30, hostname="real@h"):
        yield


def test_real_worker(run, worker) -> None:
    result = run(Client(MEMORY, 10), timeout=10, workers=["real@h"], queues=["celery"], count=2)
    assert not result["failed"] and result["succeeded"] == 4
    assert result["workers"] == ["real@h"]


def test_real_worker_whose_task_raises(run, worker) -> None:
    result = run(Client(MEMORY, 10), timeout=10, task="boom", args=["x"])
    assert result["reason"] == "task_failed" and "ValueError" in result["msg"]


def test_real_worker_that_does_not_know_the_task(run, worker) -> None:
    assert run(Client(MEMORY, 10), timeout=10, task="nope")["reason"] == "not_registered"


def test_real_worker_in_check_mode(run, worker) -> None:
    result = run(Client(MEMORY, 10), check=True, workers=["real@h"])
    assert not result["failed"] and result["workers"] == ["real@h"]
