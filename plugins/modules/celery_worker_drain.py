#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_worker_drain
short_description: Let Celery workers finish what they have, and take nothing new
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Tells each worker to stop consuming from all of its queues, its direct queue included, and waits until the tasks that it runs and
    those that it has fetched are done. Then it can be stopped, and no task notices.
  - What waits in the queues stays there, for other workers, or for this one when it has been started again. A worker forgets that it
    was told to stop consuming when it is restarted.
  - A worker that does not answer has nothing to be drained of. It is not running, or it is one of the pool V(solo) and busy with a
    task, which a warm stop waits for.
extends_documentation_fragment:
  - taskqueue.stack.celery_connection
attributes:
  check_mode:
    support: full
    description: >-
      Connects, and reports which workers consume and what they have; sends no order. Where O(python) or O(env_file) does not exist
      yet, the module is skipped.
  diff_mode:
    support: none
    description: What changes is in memory of the workers.
options:
  workers:
    description: The workers, as V(NAME@HOST).
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds for the tasks of all these workers to finish.
    type: float
    default: 300
  scheduled:
    description:
      - Whether to wait for tasks with an ETA or a countdown, too, which a worker fetches ahead of their time.
      - They need not be waited for, as a warm stop hands them back to their queue.
    type: bool
    default: false
  resume:
    description:
      - What to do when tasks are left after O(timeout). With V(true), all these workers are told to consume their queues again, so that
        everything is as before, and the module fails. With V(false), they stay drained and RV(left) says what is left.
    type: bool
    default: true
notes:
  - Can run on any host that reaches the broker.
"""

EXAMPLES = r"""
- name: Let a worker finish its tasks
  taskqueue.stack.celery_worker_drain:
    workers:
      - default@{{ inventory_hostname }}

- name: Stop it; no task is running any more
  ansible.builtin.systemd_service:
    name: celery-worker@default.service
    state: stopped
"""

RETURN = r"""
reason:
  description:
    - Why it failed. V(not_drained) when tasks are left after O(timeout).
    - Of the host, V(python_missing), V(celery_missing), V(env_file_missing), V(env_file_unreadable), V(env_file_malformed) or
      V(bad_url).
    - Of the connection, V(broker_unreachable), V(broker_auth_failed), V(broker_no_permission), V(broker_protected_mode),
      V(broker_tls_failed), V(broker_bad_settings) or V(broker_error).
  returned: failure
  type: str
  sample: not_drained
drained:
  description: The workers that have nothing left and consume nothing. In check mode, those of which that is so already.
  returned: always
  type: list
  elements: str
  sample: [default@worker1]
silent:
  description: The workers that do not answer.
  returned: always
  type: list
  elements: str
  sample: []
queues:
  description: The queues that each worker consumed until now.
  returned: always
  type: dict
  sample: {default@worker1: [celery, default@worker1.dq2]}
left:
  description: The tasks that are left. In check mode, those that there are.
  returned: always
  type: list
  elements: dict
  contains:
    worker:
      description: The worker that has it.
      type: str
    id:
      description: The task's id.
      type: str
    task:
      description: Its name.
      type: str
    state:
      description: V(active) when it runs, V(reserved) when it was fetched, V(scheduled) when it was fetched and has an ETA.
      type: str
seconds:
  description: How long the tasks took to finish.
  returned: always
  type: float
  sample: 1.3
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import (
    CONNECTION_ARGUMENTS, Client, ClientError, check_arguments, load_connection, respawn,
)

# A worker of a busy machine may miss a question's time limit, which is a second.
QUESTIONS = 3
# A message may be on its way into a worker that has just said it has none: it has to say so twice.
CALM = 2
# Connecting is not what the caller's timeout is about.
CONNECT_TIMEOUT = 5.0


class Drain:
    def __init__(self, client: Client, workers: list[str], scheduled: bool) -> None:
        self.client = client
        self.workers = workers
        self.kinds = ["active", "reserved"] + (["scheduled"] if scheduled else [])
        self.queues: dict[str, list[str]] = {}
        self.left: list[dict[str, str]] = []
        self.busy: set[str] = set()
        self.started = time.monotonic()

    def report(self) -> dict[str, t.Any]:
        return {
            "drained": sorted(set(self.queues) - self.busy),
            "silent": [worker for worker in self.workers if worker not in self.queues],
            "queues": self.queues,
            "left": self.left,
            "seconds": round(time.monotonic() - self.started, 2),
        }

    def find(self) -> None:
        """Find out who is there, and what each consumes."""
        for unused in range(QUESTIONS):
            missing = [worker for worker in self.workers if worker not in self.queues]
            if missing:
                self.queues.update(self.client.ask_queues(missing))

    def look(self) -> None:
        """Find out what is left. A worker that consumes again, or has stopped answering, counts as busy."""
        workers = sorted(self.queues)
        consumed = self.client.ask_queues(workers)
        self.left = []
        for kind in self.kinds:
            for worker, tasks in self.client.ask(kind, workers).items():
                # A scheduled task is in an envelope. Arguments stay out of this: they may be secret.
                requests = [task.get("request", task) for task in tasks]
                self.left += [{"worker": worker, "id": task["id"], "task": task["name"], "state": kind} for task in requests]
        self.busy = {worker for worker in workers if consumed.get(worker) != []} | {task["worker"] for task in self.left}

    def order(self, command: str) -> None:
        for worker, queues in self.queues.items():
            for queue in queues:
                self.client.order(command, {"queue": queue}, [worker])

    def run(self, timeout: float, resume: bool) -> None:
        self.started = time.monotonic()
        deadline = self.started + timeout
        self.order("cancel_consumer")
        calm, pause = 0, 0.05
        while self.queues:
            self.look()
            calm = 0 if self.busy else calm + 1
            if calm == CALM:
                return
            if self.busy and time.monotonic() > deadline:
                break
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)
        if self.busy and resume:
            self.order("add_consumer")
            raise ClientError("not_drained", self.explain(timeout))

    def explain(self, timeout: float) -> str:
        tasks = [f"{task['task']} ({task['id']}, {task['state']} at {task['worker']})" for task in self.left[:5]]
        more = f" and {len(self.left) - len(tasks)} more" if len(self.left) > len(tasks) else ""
        what = f"have left {', '.join(tasks)}{more}" if tasks else "do not answer"
        return (f"Expected {', '.join(sorted(self.queues))} to finish within {timeout:g} s; {', '.join(sorted(self.busy))} {what}. "
                "They consume their queues again. Look at: a longer timeout, or why these tasks take so long.")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "workers": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "float", "default": 300},
            "scheduled": {"type": "bool", "default": False},
            "resume": {"type": "bool", "default": True},
            **CONNECTION_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    check_arguments(module)
    params = module.params
    if params["timeout"] < 0:
        module.fail_json(msg="timeout must be 0 seconds or more.")
    drain = None
    nothing = {"drained": [], "silent": [], "queues": {}, "left": [], "seconds": 0.0}
    try:
        respawn(params["python"])
        client = Client(load_connection(params["env_file"], params["broker_url"], None, params["transport_options"]), CONNECT_TIMEOUT)
        client.connect_broker()
        drain = Drain(client, params["workers"], params["scheduled"])
        drain.find()
        consuming = any(drain.queues.values())
        if module.check_mode:
            drain.look()
        else:
            drain.run(params["timeout"], params["resume"])
    except ClientError as exc:
        if module.check_mode and exc.reason in ("python_missing", "env_file_missing"):
            module.exit_json(changed=False, skipped=True, msg=f"Celery is not installed here yet, so no worker runs. {exc}", **nothing)
        module.fail_json(msg=str(exc), reason=exc.reason, **(drain.report() if drain else nothing))
    module.exit_json(changed=consuming, **drain.report())


if __name__ == "__main__":
    main()
