#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_smoke_test
short_description: Prove a Celery task queue by sending tasks through it
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Sends tasks through the broker, waits for their results, compares them, and reports the round-trip times.
  - Without further options the task is Celery's own C(celery.accumulate), which every worker knows and which gives
    back what it is sent. Nothing of the application is imported or run.
  - Every queue and every worker asked for gets one task at once, then O(count) - 1 tasks, one after the other. The first
    is slower, as a worker's process imports and connects when its first task comes, and is reported apart.
  - Results are deleted. Tasks that nobody took are removed from the queue where the user may do so (commands LRANGE and
    LREM), and expire in any case a minute after O(timeout), so that a worker that comes back drops them.
extends_documentation_fragment:
  - taskqueue.stack.celery_connection
attributes:
  check_mode:
    support: full
    description: >-
      Connects, and asks the workers whether they consume the queues; sends nothing. Where O(python) or O(env_file) does
      not exist yet, the module is skipped.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  result_backend:
    description: URL of the result backend, instead of the one in O(env_file). O(broker_url) when only that is given.
    type: str
  task:
    description: Name of the task to send, as its worker knows it.
    type: str
    default: celery.accumulate
  args:
    description:
      - Positional arguments of the task.
      - When neither O(args) nor O(kwargs) is given for V(celery.accumulate), each task is sent a value of its own and
        must give it back.
    type: list
    elements: raw
  kwargs:
    description: Keyword arguments of the task.
    type: dict
  expected:
    description: What the task must return. Not compared when absent.
    type: raw
  queues:
    description:
      - Queues to send to.
      - When neither O(queues) nor O(workers) is given, C(task_default_queue) of O(env_file), or else V(celery).
    type: list
    elements: str
    default: []
  workers:
    description:
      - Workers to prove, as V(NAME@HOST). Each gets its tasks through its direct queue, which it consumes when
        C(worker_direct) is V(true) in its settings.
    type: list
    elements: str
    default: []
  count:
    description: How many tasks each queue and each worker gets.
    type: int
    default: 6
  timeout:
    description:
      - Seconds for all tasks together.
      - Finding out why a task did not come back takes up to three seconds more.
    type: float
    default: 30
  max_round_trip_ms:
    description:
      - Fail when the median round trip, the first tasks apart, is longer than this, in milliseconds.
      - Needs O(count) of at least 2.
    type: float
notes:
  - The result names the worker that ran a task when the worker was addressed through O(workers), or when
    C(result_extended) is V(true) in the worker's settings.
  - Changes nothing, so C(changed) is always V(false).
"""

EXAMPLES = r"""
- name: Prove that a task sent to the default queue comes back
  taskqueue.stack.celery_smoke_test:

- name: Prove two workers of this host, each by itself
  taskqueue.stack.celery_smoke_test:
    workers:
      - default@{{ inventory_hostname }}
      - reports@{{ inventory_hostname }}
    max_round_trip_ms: 50

- name: Prove a task of the application
  taskqueue.stack.celery_smoke_test:
    task: proj.tasks.add
    args: [2, 3]
    expected: 5
    queues: [default, urgent]
    timeout: 60
"""

RETURN = r"""
reason:
  description:
    - Why the test failed, of the first task when several did.
    - Of the host, V(python_missing), V(celery_missing), V(env_file_missing), V(env_file_unreadable),
      V(env_file_malformed) or V(bad_url).
    - Of the connections, V(broker_unreachable), V(broker_auth_failed), V(broker_no_permission),
      V(broker_protected_mode), V(broker_tls_failed), V(broker_bad_settings) or V(broker_error), and the same with
      V(backend_) for the result backend.
    - Of the tasks, V(worker_silent) (a named worker does not answer), V(no_consumer) (nobody consumes the queue),
      V(not_taken) (a worker consumes the queue and has not taken the task), V(not_finished) (taken, and no result in
      time), V(not_registered), V(task_failed), V(task_revoked), V(wrong_result), V(unreadable_result) or V(too_slow).
  returned: failure
  type: str
  sample: broker_unreachable
tasks:
  description: Each task that was sent, in order.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The task's id.
      type: str
    target:
      description: The queue or the worker it was sent to.
      type: str
    queue:
      description: The queue it was sent through.
      type: str
    first:
      description: Whether it is the first of its target.
      type: bool
    state:
      description: Celery's state of the task, V(PENDING) when nothing was heard of it, V(UNREADABLE) without JSON.
      type: str
    worker:
      description: The worker that ran it, or V(none) when unknown.
      type: str
    result:
      description: What it returned, as JSON has it.
      type: raw
    round_trip_ms:
      description: Milliseconds from sending the task to having its result, or V(none).
      type: float
    reason:
      description: Why it failed, or V(none).
      type: str
sent:
  description: How many tasks were sent.
  returned: always
  type: int
  sample: 6
succeeded:
  description: How many came back as expected.
  returned: always
  type: int
  sample: 6
failed_tasks:
  description: How many did not.
  returned: always
  type: int
  sample: 0
workers:
  description: The workers that ran tasks, as far as they are known; in check mode, those that answered.
  returned: always
  type: list
  elements: str
  sample: [default@worker1]
round_trip_ms:
  description: Milliseconds of the tasks that succeeded, the first of each target apart. V(none) when there are none.
  returned: always
  type: dict
  sample: {min: 4.1, median: 4.6, p95: 5.2, max: 5.2}
first_round_trip_ms:
  description: The same of the first task of each target.
  returned: always
  type: dict
  sample: {min: 88.0, median: 88.0, p95: 88.0, max: 88.0}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._smoke_test import ECHO_TASK, carry_out, explain
from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import (
    CONNECTION_ARGUMENTS, ClientError, check_arguments, respawn,
)


def check_params(module: AnsibleModule) -> None:
    check_arguments(module)
    params = module.params
    if params["count"] < 1:
        module.fail_json(msg="count must be at least 1.")
    if params["timeout"] <= 0:
        module.fail_json(msg="timeout must be more than 0 seconds.")
    if params["max_round_trip_ms"] is not None and params["count"] < 2:
        module.fail_json(msg="max_round_trip_ms leaves out the first task, so count must be at least 2.")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_ARGUMENTS,
            "result_backend": {"type": "str", "no_log": True},
            "task": {"type": "str", "default": ECHO_TASK},
            "args": {"type": "list", "elements": "raw"},
            "kwargs": {"type": "dict"},
            "expected": {"type": "raw"},
            "queues": {"type": "list", "elements": "str", "default": []},
            "workers": {"type": "list", "elements": "str", "default": []},
            "count": {"type": "int", "default": 6},
            "timeout": {"type": "float", "default": 30},
            "max_round_trip_ms": {"type": "float"},
        },
        supports_check_mode=True,
    )
    check_params(module)
    try:
        respawn(module.params["python"])
        result = carry_out(module.params, module.check_mode)
    except ClientError as exc:
        result = explain(exc, [], module.check_mode)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
