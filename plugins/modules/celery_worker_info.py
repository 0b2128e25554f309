#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_worker_info
short_description: Tell what the workers of a Celery task queue do, how long its queues are, and what stands still
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Asks the workers by remote control, and Redis for the length of the queues. Sends no task and runs nothing of the application.
  - Looks twice, O(interval) apart, and so finds a queue that waits for a worker that stands still, which answers a ping like any other.
  - Arguments and results of tasks are not returned, as they may be secret.
extends_documentation_fragment:
  - taskqueue.stack.celery_connection
attributes:
  check_mode:
    support: full
    description: Does the same, as nothing is changed. Where O(python) or O(env_file) does not exist yet, the module is skipped.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  workers:
    description: Workers that have to answer, as V(NAME@HOST). One that does not is a finding. All others are told of as well.
    type: list
    elements: str
    default: []
  queues:
    description:
      - Queues that have to have a consumer. One without is a finding.
      - Besides these, the queues are found that workers consume or a sender has made known to the broker. Where the Redis user may
        not run SCAN, the latter are found by the exchanges of the former only.
    type: list
    elements: str
    default: []
  interval:
    description:
      - Seconds between the two looks. With V(0) there is one, and nothing is found to stand still.
    type: float
    default: 2
  timeout:
    description:
      - Seconds to wait for the workers' answers to one question. A worker that answers later does not count.
      - Workers of the pool V(solo) answer only between two tasks.
    type: float
    default: 1
seealso:
  - module: taskqueue.stack.celery_smoke_test
"""

EXAMPLES = r"""
- name: Ask for workers and queues
  taskqueue.stack.celery_worker_info:
    workers:
      - default@{{ inventory_hostname }}
    queues: [celery, reports]
  register: celery

- name: Fail when something stands still
  ansible.builtin.assert:
    that: celery.findings | length == 0
    fail_msg: "{{ celery.findings | map(attribute='message') | join(' ') }}"
"""

RETURN = r"""
workers:
  description: The workers that answered, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The worker's node name.
      type: str
      sample: default@worker1
    pool:
      description: V(prefork), V(threads), V(gevent), V(eventlet), V(solo), or a module's name.
      type: str
    concurrency:
      description: How many tasks it runs at once.
      type: int
    processes:
      description: The process ids of its pool, of V(prefork) and V(solo).
      type: list
      elements: int
    prefetch:
      description: How many messages it takes at once, V(0) for no limit.
      type: int
    pid:
      description: Its main process.
      type: int
    uptime:
      description: Seconds since it was started.
      type: int
    executed:
      description: How many tasks it has started since then.
      type: int
    queues:
      description: The queues it consumes.
      type: list
      elements: str
    active:
      description: The tasks it runs, each with C(id), C(name), C(queue) (their routing key) and C(seconds) for which they have run.
      type: list
      elements: dict
    reserved:
      description: The tasks it holds and has not started, each with C(id), C(name) and C(queue).
      type: list
      elements: dict
    scheduled:
      description: The tasks it holds until their time comes, the same with C(eta).
      type: list
      elements: dict
    registered:
      description: The names of the tasks it knows.
      type: list
      elements: str
    versions:
      description: The versions it runs, of C(celery), C(kombu) and C(python).
      type: dict
queues:
  description: The queues, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The queue's name.
      type: str
    depth:
      description: Messages in it, those that workers have taken and not acknowledged included.
      type: int
    waiting:
      description: Messages that nobody has taken. V(0) also where the Redis user may not look into the queue.
      type: int
    unacked:
      description: Messages that workers have taken and not acknowledged. Workers that acknowledge early have none, but for tasks of a later time.
      type: int
    priorities:
      description: Messages that nobody has taken, by priority, V(0) the highest. Priorities without any are left out.
      type: dict
    growth:
      description: By how many RV(queues[].waiting) rose between the two looks; negative when it fell.
      type: int
    consumers:
      description: The workers that consume it.
      type: list
      elements: str
unacked:
  description: Messages in all queues that workers have taken and not acknowledged. Of more than 5000, the first count for their queues.
  returned: success
  type: int
schedulers:
  description: What answers a ping and is no worker, which is beat from Celery 5.7 on, where it answers.
  returned: success
  type: list
  elements: str
  sample: [celerybeat@worker1]
celery:
  description: Version of the Celery that asked.
  returned: success
  type: str
  sample: 5.7.0
findings:
  description: What is not as it should be, or an empty list.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(worker_silent), a worker of O(workers) does not answer.
        - V(no_consumer), nobody consumes a queue of O(queues), or one in which messages wait.
        - V(standing_still), messages wait in a queue, no fewer at the second look, and none of its workers has started a task in
          between, though one has room.
        - V(saturated), the same, and all its workers are full of tasks that have not ended in between.
        - V(two_schedulers), more than one beat answers.
      type: str
    queue:
      description: The queue, or V(none).
      type: str
    workers:
      description: The workers it is about.
      type: list
      elements: str
    message:
      description: The finding for a person, with what to look at.
      type: str
reason:
  description: Why nobody could be asked, one of the reasons of M(taskqueue.stack.celery_smoke_test) about the host and the broker.
  returned: failure
  type: str
  sample: broker_unreachable
"""

import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import (
    CONNECTION_ARGUMENTS, Client, ClientError, check_arguments, load_connection, respawn,
)

POOLS = {"celery.concurrency.thread": "threads"}
# Beat answers a ping and nothing else. To wait for more of it would cost the whole timeout at each question.
BEAT = "celerybeat@"


def describe_task(task: dict[str, t.Any]) -> dict[str, t.Any]:
    """A task without its arguments."""
    return {"id": task.get("id"), "name": task.get("name") or task.get("type"),
            "queue": (task.get("delivery_info") or {}).get("routing_key")}


def describe_active(task: dict[str, t.Any], now: float) -> dict[str, t.Any]:
    started = task.get("time_start")
    return {**describe_task(task), "seconds": round(max(now - started, 0), 1) if started else None}


def read_versions(report: t.Any) -> dict[str, str]:
    """The versions that "celery report" begins with: software -> celery:5.7.0 (name) kombu:5.7.0 py:3.11.2"""
    text = str(report.get("ok", "") if isinstance(report, dict) else report)
    found = dict(re.findall(r"\b(celery|kombu|py):([^\s]+)", text.split("platform ->", maxsplit=1)[0]))
    return {{"py": "python"}.get(name, name): version for name, version in found.items()}


def describe_worker(name: str, answers: dict[str, dict[str, t.Any]], now: float) -> dict[str, t.Any]:
    stats = answers["stats"][name]
    pool = stats.get("pool") or {}
    module = str(pool.get("implementation", "")).partition(":")[0]
    answered = {command: workers.get(name) or [] for command, workers in answers.items()}
    return {
        "name": name,
        "pool": POOLS.get(module, module.rpartition(".")[2]),
        "concurrency": pool.get("max-concurrency") or 0,
        "processes": pool.get("processes") or [],
        "prefetch": stats.get("prefetch_count") or 0,
        "pid": stats.get("pid"),
        "uptime": stats.get("uptime"),
        "executed": count_executed(stats),
        "queues": sorted(queue["name"] for queue in answered["active_queues"]),
        "active": [describe_active(task, now) for task in answered["active"]],
        "reserved": [describe_task(task) for task in answered["reserved"]],
        "scheduled": [{**describe_task(task.get("request") or {}), "eta": task.get("eta")} for task in answered["scheduled"]],
        # Celery adds options as "name [rate_limit=1/s]".
        "registered": sorted(str(task).partition(" ")[0] for task in answered["registered"]),
        "versions": read_versions(answered["report"]),
    }


def count_executed(stats: dict[str, t.Any]) -> int:
    return sum((stats.get("total") or {}).values())


def find_unacked_keys(stats: dict[str, dict[str, t.Any]]) -> set[tuple[str, str]]:
    """Under which keys workers keep what they have taken, of those that have keys of their own."""
    options = [(answer.get("broker") or {}).get("transport_options") or {} for answer in stats.values()]
    return {(option["unacked_index_key"], option["unacked_key"]) for option in options if "unacked_index_key" in option and "unacked_key" in option}


class Look(t.NamedTuple):
    """What can move, at one moment."""

    waiting: dict[str, dict[int, int]]
    executed: dict[str, int]
    active: dict[str, set[str]]


class Survey:
    def __init__(self, client: Client, params: dict[str, t.Any]) -> None:
        self.client = client
        self.params = params

    def ask(self, command: str, workers: list[str] | None) -> dict[str, t.Any]:
        return {} if workers == [] else self.client.ask(command, workers, self.params["timeout"])

    def run(self) -> dict[str, t.Any]:
        answering = sorted(self.ask("ping", None))
        names = [name for name in answering if not name.startswith(BEAT)]
        answers = {"stats": self.ask("stats", names)}
        names = sorted(answers["stats"])
        for command in ("active_queues", "active", "reserved", "scheduled", "registered", "report"):
            answers[command] = self.ask(command, names)
        now = time.time()
        workers = [describe_worker(name, answers, now) for name in names]

        consumed = {queue for worker in workers for queue in worker["queues"]}
        exchanges = {queue["exchange"]["name"] for queues in answers["active_queues"].values() for queue in queues}
        bindings = self.client.read_bindings(exchanges | set(self.params["queues"]))
        known = sorted(consumed | set(self.params["queues"]) | {queue for bound in bindings.values() for unused, queue in bound})
        first = self.look(known, names)
        started = time.monotonic()
        unacked, held = self.client.read_unacked(bindings, find_unacked_keys(answers["stats"]))
        second = first
        if self.params["interval"]:
            time.sleep(max(started + self.params["interval"] - time.monotonic(), 0))
            second = self.look(known, names)

        queues = [self.describe_queue(name, workers, first, second, held.get(name, 0)) for name in known]
        # What a sender once declared stays known for ever.
        queues = [queue for queue in queues if queue["consumers"] or queue["depth"] or queue["name"] in self.params["queues"]]
        schedulers = [name for name in answering if name not in answers["stats"]]
        result = {"workers": workers, "queues": queues, "unacked": unacked, "schedulers": schedulers}
        return {**result, "findings": [*self.find(result), *self.find_still(result, first, second)]}

    def look(self, queues: list[str], names: list[str]) -> Look:
        active = self.ask("active", names)
        stats = self.ask("stats", names)
        return Look(
            self.client.read_waiting(queues),
            {name: count_executed(answer) for name, answer in stats.items()},
            {name: {task["id"] for task in tasks} for name, tasks in active.items()})

    def describe_queue(
        self, name: str, workers: list[dict[str, t.Any]], first: Look, second: Look, unacked: int,
    ) -> dict[str, t.Any]:
        waiting, before = second.waiting.get(name, {}), first.waiting.get(name, {})
        total = sum(waiting.values())
        return {
            "name": name,
            "depth": total + unacked,
            "waiting": total,
            "unacked": unacked,
            "priorities": {str(priority): count for priority, count in waiting.items() if count},
            "growth": total - sum(before.values()),
            "consumers": [worker["name"] for worker in workers if name in worker["queues"]],
        }

    def find(self, result: dict[str, t.Any]) -> t.Iterator[dict[str, t.Any]]:
        """What one look is enough for."""
        answering = {worker["name"] for worker in result["workers"]}
        for name in self.params["workers"]:
            if name not in answering:
                unit, host = name.split("@", 1)
                yield finding("worker_silent", None, [name], (
                    f"{name} does not answer within {self.params['timeout']:g} s. Look at: systemctl status celery-worker@{unit} "
                    f"and journalctl -u celery-worker@{unit} on {host}, and the broker it uses."))
        for queue in result["queues"]:
            if not queue["consumers"] and (queue["waiting"] or queue["name"] in self.params["queues"]):
                yield finding("no_consumer", queue["name"], [], (
                    f"Nobody consumes the queue {queue['name']}, in which {queue['waiting']} messages wait. Look at: the queues of "
                    "the workers, the routing of the tasks, and the spelling in both."))
        if len(result["schedulers"]) > 1:
            yield finding("two_schedulers", None, result["schedulers"], (
                f"{' and '.join(result['schedulers'])} answer: two schedulers send every task twice, unless they belong to two "
                "applications. Look at: systemctl disable --now celery-beat on all hosts but one."))

    def find_still(self, result: dict[str, t.Any], first: Look, second: Look) -> t.Iterator[dict[str, t.Any]]:
        """What only the second look tells."""
        if second is first:
            return
        by_name = {worker["name"]: worker for worker in result["workers"]}
        for queue in result["queues"]:
            consumers = [name for name in queue["consumers"] if name in second.executed]
            if not consumers or not queue["waiting"] or queue["growth"] < 0 or queue["waiting"] == queue["growth"]:
                continue
            if any(second.executed[name] != first.executed.get(name) or second.active.get(name) != first.active.get(name)
                   for name in consumers):
                continue
            idle = [name for name in consumers if len(second.active.get(name, ())) < by_name[name]["concurrency"]]
            waits = f"In the queue {queue['name']} {queue['waiting']} messages wait, {queue['growth']} more than {self.params['interval']:g} s before"
            if idle:
                unit = idle[0].partition("@")[0]
                yield finding("standing_still", queue["name"], idle, (
                    f"{waits}, and {', '.join(idle)} takes none, though it has room. Look at: journalctl -u celery-worker@{unit} for "
                    f"its connection to Redis; a restart (systemctl restart celery-worker@{unit}) makes it consume again."))
            else:
                longest = max((task["seconds"] or 0 for name in consumers for task in by_name[name]["active"]), default=0)
                yield finding("saturated", queue["name"], consumers, (
                    f"{waits}, and every place of {', '.join(consumers)} is taken by the same tasks as then, the longest for "
                    f"{longest:g} s. Look at: tasks that hang (their time limits), the concurrency, a queue of their own for long tasks."))


def finding(kind: str, queue: str | None, workers: list[str], message: str) -> dict[str, t.Any]:
    return {"kind": kind, "queue": queue, "workers": workers, "message": message}


def check_params(module: AnsibleModule) -> None:
    check_arguments(module)
    params = module.params
    if params["interval"] < 0:
        module.fail_json(msg="interval must be 0 or more seconds.")
    if params["timeout"] <= 0:
        module.fail_json(msg="timeout must be more than 0 seconds.")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_ARGUMENTS,
            "workers": {"type": "list", "elements": "str", "default": []},
            "queues": {"type": "list", "elements": "str", "default": []},
            "interval": {"type": "float", "default": 2},
            "timeout": {"type": "float", "default": 1},
        },
        supports_check_mode=True,
    )
    check_params(module)
    params = module.params
    try:
        respawn(params["python"])
        connection = load_connection(params["env_file"], params["broker_url"], None, params["transport_options"])
        client = Client(connection, max(params["timeout"], 1))
        client.connect_broker()
        result = Survey(client, params).run()
    except ClientError as exc:
        if module.check_mode and exc.reason in ("python_missing", "env_file_missing"):
            module.exit_json(changed=False, skipped=True, msg=f"Celery is not installed here yet, so nobody was asked. {exc}")
        module.fail_json(msg=str(exc), reason=exc.reason)

    from celery import __version__

    module.exit_json(changed=False, celery=__version__, **result)


if __name__ == "__main__":
    main()
