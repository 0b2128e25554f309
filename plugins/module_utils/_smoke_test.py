# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test: tasks that are sent through the broker and have to come back. Runs in the Python that has Celery."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import time
import typing as t
import uuid
from dataclasses import asdict, dataclass

from .celery_client import UNREADABLE, Client, ClientError, load_connection

ECHO_TASK = "celery.accumulate"
# Clocks of hosts may differ by so many seconds before a worker takes a fresh task for an expired one.
EXPIRY_MARGIN = 60.0
READY_STATES = ("SUCCESS", "FAILURE", "REVOKED", UNREADABLE)
# What carry_out() takes for options that it is not given.
DEFAULTS = {
    **dict.fromkeys(("broker_url", "result_backend", "transport_options", "args", "kwargs", "expected", "max_round_trip_ms")),
    "task": ECHO_TASK,
    "queues": [],
}


class Target(t.NamedTuple):
    name: str
    queue: str
    worker: str | None


@dataclass
class Task:
    id: str
    target: str
    queue: str
    first: bool
    worker: str | None
    state: str = "PENDING"
    result: t.Any = None
    round_trip_ms: float | None = None
    reason: str | None = None


def summarize(tasks: list[Task]) -> dict[str, float] | None:
    times = sorted(task.round_trip_ms for task in tasks if task.round_trip_ms is not None)
    if not times:
        return None
    return {
        "min": times[0],
        "median": round(statistics.median(times), 2),
        "p95": times[math.ceil(0.95 * len(times)) - 1],
        "max": times[-1],
    }


def shorten(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def show(value: t.Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False))


def report(tasks: list[Task]) -> dict[str, t.Any]:
    good = [task for task in tasks if task.state == "SUCCESS" and not task.reason]
    return {
        "tasks": [asdict(task) for task in tasks],
        "sent": len(tasks),
        "succeeded": len(good),
        "failed_tasks": len(tasks) - len(good),
        "workers": sorted({task.worker for task in tasks if task.worker and task.state in READY_STATES}),
        "round_trip_ms": summarize([task for task in good if not task.first]),
        "first_round_trip_ms": summarize([task for task in good if task.first]),
    }


class SmokeTest:
    def __init__(self, client: Client, params: dict[str, t.Any]) -> None:
        self.client = client
        self.params = params
        self.echo = params["task"] == ECHO_TASK and params["args"] is None and params["kwargs"] is None
        self.tasks: list[Task] = []
        self.started: dict[str, float] = {}
        self.deadline = 0.0

    def find_targets(self) -> list[Target]:
        from celery.utils.nodenames import worker_direct

        workers, queues = self.params["workers"], self.params["queues"]
        if not workers and not queues:
            queues = [str(self.client.app.conf.task_default_queue)]
        return [Target(f"queue {queue}", queue, None) for queue in queues] + [
            Target(f"worker {worker}", worker_direct(worker).name, worker) for worker in workers]

    def run(self) -> None:
        """Prove all targets at once, so that silent ones share the time limit, then measure them one by one."""
        targets = self.find_targets()
        self.deadline = time.monotonic() + self.params["timeout"]
        try:
            self.prove(targets, first=True)
            for target in targets:
                for unused in range(self.params["count"] - 1):
                    self.prove([target])
        except ClientError:
            with contextlib.suppress(ClientError):
                self.client.forget(self.started)
            raise
        self.client.forget(self.started)
        self.check_speed()

    def prove(self, targets: list[Target], first: bool = False) -> None:
        tasks = [self.send(target, first) for target in targets]
        self.wait(tasks)
        problems = self.explain_unfinished([task for task in tasks if task.state not in READY_STATES])
        for task in tasks:
            if task.state in READY_STATES:
                problems += self.judge(task)
        if problems:
            raise ClientError(next(task.reason for task in tasks if task.reason), " ".join(problems))

    def send(self, target: Target, first: bool) -> Task:
        task = Task(str(uuid.uuid4()), target.name, target.queue, first, target.worker)
        args, kwargs = self.params["args"] or [], self.params["kwargs"] or {}
        if self.echo:
            args, kwargs = [task.id], {"index": 0}
        now = time.monotonic()
        expires = max(self.deadline - now, 0) + EXPIRY_MARGIN
        self.client.send(task.id, self.params["task"], args, kwargs, target.queue, expires)
        self.started[task.id] = now
        self.tasks.append(task)
        return task

    def wait(self, tasks: list[Task]) -> None:
        """Poll for the results. Pauses are a fiftieth of the time waited: they neither blur it nor load Redis."""
        started = min(self.started[task.id] for task in tasks)
        while True:
            tasks = [task for task in tasks if not self.is_finished(task)]
            now = time.monotonic()
            if not tasks or now > self.deadline:
                return
            time.sleep(min(max((now - started) / 50, 0.0005), 0.05))

    def is_finished(self, task: Task) -> bool:
        meta = self.client.fetch(task.id)
        if not meta:
            return False
        task.state = meta["status"]
        if task.state not in READY_STATES:
            return False
        task.round_trip_ms = round((time.monotonic() - self.started[task.id]) * 1000, 2)
        task.worker = meta.get("worker") or task.worker
        # Types that Celery adds to JSON, as dates, become text.
        task.result = json.loads(json.dumps(meta["result"], default=str))
        return True

    def judge(self, task: Task) -> list[str]:
        """Compare a finished task with what was expected."""
        name = self.params["task"]
        if task.state == "REVOKED":
            task.reason = "task_revoked"
            return [f"{task.target}: expected {name} to run; the worker dropped it as expired or revoked. "
                    "Look at: the clocks of the hosts (timedatectl), and whether somebody revoked it."]
        if task.state == "FAILURE":
            error = task.result if isinstance(task.result, dict) else {}
            task.reason = "task_failed"
            if error.get("exc_type") == "NotRegistered":
                task.reason = "not_registered"
                return [f"{task.target}: expected {name} to run; the worker does not know it. Look at: the name, and "
                        "which application and release the worker runs (celery inspect registered)."]
            message = error.get("exc_message") or ""
            words = self.client.scrub(message if isinstance(message, str) else ", ".join(str(part) for part in message))
            return [f"{task.target}: expected {name} to return; it raised {error.get('exc_type')}: {shorten(words)}. "
                    "Look at: the worker's journal for the traceback."]
        if task.state == UNREADABLE:
            task.reason = "unreadable_result"
            return [f"{task.target}: expected {name} to return JSON; the worker stored something else. "
                    "Look at: set result_serializer to json in its settings."]
        expected = task.id if self.echo else self.params["expected"]
        if expected is not None and task.result != expected:
            task.reason = "wrong_result"
            return [f"{task.target}: expected {name} to return {show(expected)}; it returned {show(task.result)}. "
                    "Look at: the arguments, and the types: YAML's 5 is a number, '5' is text."]
        return []

    def explain_unfinished(self, tasks: list[Task]) -> list[str]:
        """Find out where each task is: still in its queue, and who should have taken it, or at a worker."""
        untaken: dict[str, int] = {}
        for queue in {task.queue for task in tasks}:
            found, length = self.client.take_back(queue, {task.id for task in tasks if task.queue == queue})
            untaken.update(dict.fromkeys(found, length))
        answers: dict[str, list[str]] = {}
        unasked = ""
        if untaken:
            try:
                answers = self.ask_queues({task.worker for task in tasks if task.id in untaken})
            except ClientError as exc:
                unasked = f"The workers could not be asked why. {exc}"
        problems = []
        for task in tasks:
            finding = None if unasked else find_consumer_problem(task.queue, task.worker, answers)
            if task.id not in untaken:
                task.reason = "not_finished"
                text = (f"was taken and has not finished (state {task.state}). Look at: is the worker busy with other "
                        "tasks (celery inspect active), does it store results in this result backend, and what does "
                        "its journal say?")
            elif finding:
                task.reason, text = finding
                text = f"was never taken. {text}"
            else:
                task.reason = "not_taken"
                text = unasked or "Look at: is the worker busy with other tasks (celery inspect active), or stuck?"
                text = f"was never taken; {untaken[task.id]} tasks wait in the queue. {text}"
            came = sum(other.target == task.target and other.state == "SUCCESS" for other in self.tasks)
            problems.append(
                f"{task.target}: expected {self.params['count']} results of {self.params['task']} within "
                f"{self.params['timeout']:g} s, got {came}; the next task {text}")
        return problems

    def ask_queues(self, workers: set[str | None]) -> dict[str, list[str]]:
        # Named workers end the wait when all have answered; for everybody it takes its full time.
        return self.client.ask_queues(None if None in workers else sorted(t.cast("set[str]", workers)))

    def check_consumers(self) -> list[str]:
        """For check mode: return the workers that answer, or raise what a real run would fail with."""
        targets = self.find_targets()
        answers = self.ask_queues({target.worker for target in targets})
        findings = {target: find_consumer_problem(target.queue, target.worker, answers) for target in targets}
        problems = [(target.name, *finding) for target, finding in findings.items() if finding]
        if problems:
            raise ClientError(problems[0][1], " ".join(f"{name}: {text}" for name, unused, text in problems))
        return sorted(answers)

    def check_speed(self) -> None:
        limit, measured = self.params["max_round_trip_ms"], report(self.tasks)["round_trip_ms"]
        if limit is not None and measured["median"] > limit:
            raise ClientError(
                "too_slow",
                f"Expected a median round trip of at most {limit:g} ms; it was {measured['median']} ms (min "
                f"{measured['min']}, max {measured['max']}). Look at: the load of the hosts, the network, and other tasks "
                "in the queue.")


def find_consumer_problem(
    queue: str, worker: str | None, answers: dict[str, list[str]],
) -> tuple[str, str] | None:
    """Return reason and message when, by what the workers answered, nobody takes tasks from the queue."""
    if any(queue in queues for queues in answers.values()):
        return None
    if worker and worker not in answers:
        unit = worker.partition("@")[0]
        return "worker_silent", (f"It does not answer. Look at: systemctl status celery-worker@{unit} and "
                                 f"journalctl -u celery-worker@{unit} on its host, and the name it runs under.")
    if worker:
        return "no_consumer", (f"It answers but does not consume its direct queue {queue}. "
                               "Look at: set worker_direct to true in its settings and restart it.")
    if not answers:
        return "no_consumer", ("No worker answers. Look at: systemctl status 'celery-worker@*' on the worker hosts, "
                               "and whether they use the same broker and database.")
    known = "; ".join(f"{answering} consumes {', '.join(queues)}" for answering, queues in sorted(answers.items()))
    return "no_consumer", (f"No worker consumes this queue ({known}). Look at: the queues of the workers, "
                           "and the spelling.")


def carry_out(params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Return what the module celery_smoke_test returns, with "failed" where it fails."""
    params = {**DEFAULTS, **params}
    tasks: list[Task] = []
    try:
        connection = load_connection(
            params["env_file"], params["broker_url"], params["result_backend"], params["transport_options"])
        client = Client(connection, params["timeout"])
        client.connect()
        test = SmokeTest(client, params)
        tasks = test.tasks
        if check_mode:
            return {**report(tasks), "workers": test.check_consumers()}
        test.run()
    except ClientError as exc:
        return explain(exc, tasks, check_mode)
    return report(tasks)


def explain(exc: ClientError, tasks: list[Task], check_mode: bool) -> dict[str, t.Any]:
    if check_mode and exc.reason in ("python_missing", "env_file_missing"):
        msg = f"Celery is not installed here yet, so nothing was tested. {exc}"
        return {"skipped": True, "msg": msg, **report(tasks)}
    return {"failed": True, "msg": str(exc), "reason": exc.reason, **report(tasks)}
