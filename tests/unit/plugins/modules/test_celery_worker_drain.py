# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers are played; a real one is drained in the scenario `deploy`."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils import basic

from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import ClientError
from ansible_collections.taskqueue.stack.plugins.modules import celery_worker_drain

RUNNING = {"id": "1", "name": "shop.bill", "args": ["card 4711"]}
WAITING = {"eta": "2026-01-01", "request": {"id": "2", "name": "shop.remind", "args": ["card 4711"]}}


class FakeWorkers:
    """Workers that finish what they have after so many looks at them."""

    def __init__(self, looks: int = 0, deaf: int = 0, **tasks: list) -> None:
        self.queues = {"a@h": ["celery", "a@h.dq2"], "b@h": ["other"]}
        self.tasks = {"active": [], "reserved": [], "scheduled": [], **tasks}
        self.looks = looks
        self.deaf = deaf
        self.orders: list = []

    def connect_broker(self) -> None:
        pass

    def ask_queues(self, workers):
        if self.deaf > 0:
            self.deaf -= 1
            return {}
        return {worker: list(self.queues[worker]) for worker in workers if worker in self.queues}

    def ask(self, question, workers):
        if question == "active":
            self.looks -= 1
        return {"a@h": self.tasks[question] if self.looks >= 0 else []}

    def order(self, command, arguments, workers) -> None:
        self.orders.append((command, arguments["queue"], *workers))
        for worker in workers:
            if command == "cancel_consumer":
                self.queues[worker].remove(arguments["queue"])
            else:
                self.queues[worker].append(arguments["queue"])


class Ended(Exception):
    pass


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Run the module in this process and return what it would have printed."""
    def run_module(client: FakeWorkers | None = None, check: bool = False, **params) -> dict:
        args = {"workers": ["a@h"], "timeout": 5, **params, "_ansible_check_mode": check}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        ended: dict = {}

        def end(module, failed: bool, **result) -> None:
            ended.update(result, failed=failed)
            raise Ended

        monkeypatch.setattr(basic.AnsibleModule, "exit_json", lambda module, **result: end(module, False, **result))
        monkeypatch.setattr(basic.AnsibleModule, "fail_json", lambda module, **result: end(module, True, **result))
        monkeypatch.setattr(celery_worker_drain.time, "sleep", lambda seconds: None)
        if client:
            monkeypatch.setattr(celery_worker_drain, "respawn", lambda python: None)
            monkeypatch.setattr(celery_worker_drain, "load_connection", lambda *args: None)
            monkeypatch.setattr(celery_worker_drain, "Client", lambda connection, timeout: client)
        with pytest.raises(Ended):
            celery_worker_drain.main()
        return ended
    return run_module


def test_a_worker_consumes_nothing_and_has_finished_when_it_is_over(run) -> None:
    client = FakeWorkers(looks=4, active=[RUNNING], reserved=[{"id": "3", "name": "shop.bill"}])
    result = run(client)
    assert (result["failed"], result["changed"], result["drained"], result["silent"], result["left"]) == (False, True, ["a@h"], [], [])
    assert result["queues"] == {"a@h": ["celery", "a@h.dq2"]}
    assert client.orders == [("cancel_consumer", "celery", "a@h"), ("cancel_consumer", "a@h.dq2", "a@h")]
    assert client.queues["b@h"] == ["other"]
    # It has said twice that there is nothing.
    assert client.looks == -2


def test_a_drained_worker_is_no_change(run) -> None:
    client = FakeWorkers()
    client.queues["a@h"] = []
    result = run(client)
    assert (result["changed"], result["drained"], client.orders) == (False, ["a@h"], [])


def test_a_worker_that_does_not_run_has_nothing_to_drain(run) -> None:
    result = run(FakeWorkers(), workers=["gone@h"])
    assert (result["failed"], result["changed"], result["drained"], result["silent"]) == (False, False, [], ["gone@h"])


def test_a_slow_answer_is_waited_for(run) -> None:
    assert run(FakeWorkers(deaf=2))["drained"] == ["a@h"]


def test_what_does_not_finish_is_named_and_everything_is_as_before(run) -> None:
    client = FakeWorkers(looks=10**6, active=[RUNNING])
    result = run(client, workers=["a@h", "b@h"], timeout=0)
    assert (result["failed"], result["reason"], result["drained"]) == (True, "not_drained", ["b@h"])
    assert result["left"] == [{"worker": "a@h", "id": "1", "task": "shop.bill", "state": "active"}]
    assert "a@h have left shop.bill (1, active at a@h)" in result["msg"]
    assert client.queues == {"a@h": ["celery", "a@h.dq2"], "b@h": ["other"]}
    assert "4711" not in json.dumps(result)


def test_what_does_not_finish_may_be_left_to_the_caller(run) -> None:
    client = FakeWorkers(looks=10**6, active=[RUNNING])
    result = run(client, timeout=0, resume=False)
    assert (result["failed"], result["drained"], [task["id"] for task in result["left"]]) == (False, [], ["1"])
    assert client.queues["a@h"] == []


def test_scheduled_tasks_are_waited_for_on_demand(run) -> None:
    assert run(FakeWorkers(looks=10**6, scheduled=[WAITING]), timeout=0)["failed"] is False
    result = run(FakeWorkers(looks=10**6, scheduled=[WAITING]), timeout=0, scheduled=True)
    assert result["left"] == [{"worker": "a@h", "id": "2", "task": "shop.remind", "state": "scheduled"}]


def test_a_worker_that_falls_silent_is_not_drained(run) -> None:
    client = FakeWorkers()
    client.order = lambda command, arguments, workers: client.queues.pop("a@h", None)
    result = run(client, timeout=0)
    assert (result["reason"], result["drained"]) == ("not_drained", [])
    assert "do not answer" in result["msg"]


def test_check_mode_gives_no_order(run) -> None:
    client = FakeWorkers(looks=10**6, active=[RUNNING])
    result = run(client, check=True)
    assert (result["changed"], client.orders, [task["id"] for task in result["left"]]) == (True, [], ["1"])


def test_check_mode_before_celery_is_there(run) -> None:
    assert run(check=True, python="/nonexistent/python")["skipped"] is True
    result = run(python="/nonexistent/python")
    assert (result["failed"], result["reason"]) == (True, "python_missing")


def test_an_unreachable_broker_is_no_traceback(run) -> None:
    client = FakeWorkers()

    def refuse() -> None:
        raise ClientError("broker_unreachable", "Expected the broker to answer.")

    client.connect_broker = refuse
    result = run(client)
    assert (result["failed"], result["reason"], result["left"]) == (True, "broker_unreachable", [])


@pytest.mark.parametrize(("params", "word"), [({"workers": ["default"]}, "NAME@HOST"), ({"timeout": -1}, "timeout")])
def test_bad_input_is_named(run, params: dict, word: str) -> None:
    assert word in run(FakeWorkers(), **params)["msg"]
