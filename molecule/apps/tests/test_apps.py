"""Applications as their authors wrote them, under the inventory's settings; priorities, routes, and a queue for long tasks."""

from __future__ import annotations

import json

import pytest
from conftest import VENV, redis_cli, result, until, with_celery

testinfra_hosts = ["ansible://celery_worker"]

# For all that a busy machine needs.
SECONDS = 60
# The inventory's celery_app_visibility_timeout.
VISIBILITY = 5


@pytest.fixture
def variables(host) -> dict:
    return host.ansible.get_variables()


@pytest.fixture
def is_django(variables) -> bool:
    return "django" in variables["celery_app_source"]


def ask(host, variables) -> dict:
    arguments = {"workers": [f"{name}@{variables['inventory_hostname']}" for name in ("default", "reports")], "interval": 0}
    return host.ansible("taskqueue.stack.celery_worker_info", json.dumps(arguments), check=False, become=True)


def received(host, task: str) -> int:
    """How often a worker took a task."""
    with host.sudo():
        journal = host.check_output("journalctl --quiet --output=cat --unit='celery-worker@*'")
    return journal.count(f"[{task}] received")


def send(host, name: str, *args: object, **options: object) -> str:
    return with_celery(host, f"answer = app.send_task('shop.tasks.{name}', {args!r}, **{options!r}).id")


def state(host, task: str) -> str:
    return with_celery(host, f"answer = app.AsyncResult({task!r}).state")


def order_of(host, messages: list[tuple[str, int]]) -> list[int]:
    """Sends tasks to the busy worker, each by queue and priority; returns their numbers in the order in which they were done."""
    code = f"""
import time
blocker = app.send_task('shop.tasks.work', [3], queue='celery')
while blocker.state != 'STARTED':
    time.sleep(0.05)
sent = [app.send_task('shop.tasks.work', [0], queue=queue, priority=priority) for queue, priority in {messages!r}]
assert blocker.state == 'STARTED', 'the machine was too busy for this test'
for task in sent:
    task.get(timeout={SECONDS})
done = [app.backend.get_task_meta(task.id)['date_done'] for task in sent]
answer = sorted(range(len(sent)), key=lambda number: done[number])
"""
    return with_celery(host, code)


def test_tasks_of_the_application_do_what_they_are_for(host, is_django):
    if is_django:
        with host.sudo("celery"):
            # What a deployment of the project does by itself; taskqueue.stack leaves databases alone.
            host.check_output(
                f"cd /; set -a; . /etc/celery/celery.env; DJANGO_SETTINGS_MODULE=shop.settings {VENV}/python -m django migrate --verbosity=0"
            )
        before = result(host, send(host, "order", "pen"))
        assert result(host, send(host, "order", "pen")) == before + 1
        assert result(host, send(host, "zone")) == "America/Chicago"
    else:
        assert result(host, send(host, "greet", "world")) == "good morning, world"


def test_each_setting_is_whose_it_should_be(host, variables):
    worker = f"default@{variables['inventory_hostname']}"
    conf = with_celery(host, f"answer = app.control.inspect([{worker!r}], timeout=20).conf(with_defaults=True)[{worker!r}]")
    # The inventory's, over the application's.
    assert (conf["task_track_started"], conf["task_send_sent_event"], conf["worker_direct"]) == (True, True, True)
    options = conf["broker_transport_options"]
    assert (options["visibility_timeout"], options["priority_steps"], options["unacked_restore_interval"]) == (VISIBILITY, [0, 5, 9], 1)
    assert options["queue_order_strategy"] == "priority"
    # The application's, over the safe defaults.
    assert with_celery(host, "answer = app.conf.result_expires") == 3600
    task = send(host, "work", 0)
    assert result(host, task) == 0
    lasts = int(redis_cli(host, variables, "TTL", f"celery-task-meta-{task}")[0])
    assert 3500 < lasts <= 3600
    # The safe defaults, where it says nothing.
    assert conf["accept_content"] == ["json"]
    assert (conf["task_acks_late"], conf["task_reject_on_worker_lost"], conf["broker_connection_max_retries"]) == (True, True, None)
    assert options["socket_keepalive"] is True


def test_tasks_finish_in_the_order_of_their_priority(host):
    # 7 is in the list of 5, behind what came there before it.
    assert order_of(host, [("celery", priority) for priority in (9, 5, 0, 7, 9, 0, 5)]) == [2, 5, 1, 3, 6, 0, 4]


def test_the_first_queue_of_the_list_goes_first(host):
    assert order_of(host, [("celery", 0), ("celery", 0), ("urgent", 0), ("urgent", 0)]) == [2, 3, 0, 1]


def test_routes_are_the_inventory_s_and_then_the_application_s(host, variables):
    code = f"""
import time
tasks = [app.send_task('shop.tasks.' + name, [2]) for name in ('work', 'report')]
while [task.state for task in tasks] != ['STARTED', 'STARTED']:
    assert not any(task.ready() for task in tasks), 'the machine was too busy for this test'
    time.sleep(0.05)
nodes = ['default@{variables["inventory_hostname"]}', 'reports@{variables["inventory_hostname"]}']
active = app.control.inspect(nodes, timeout=20, limit=2).active()
answer = [[task['name'], node.partition('@')[0], task['delivery_info']['routing_key']] for node in nodes for task in active[node]]
"""
    assert with_celery(host, code) == [["shop.tasks.work", "default", "urgent"], ["shop.tasks.report", "reports", "reports"]]


def test_what_a_worker_with_keys_of_its_own_has_taken_is_counted(host, variables):
    # It is not acknowledged before it is done, so for all that time it is there.
    task = send(host, "report", 15)
    until(lambda: state(host, task) == "STARTED", SECONDS)
    answer = ask(host, variables)
    assert {queue["name"]: queue["unacked"] for queue in answer["queues"]}["reports"] == 1
    assert redis_cli(host, variables, "ZCARD", "unacked_index.reports") == ["1"]
    with_celery(host, f"app.control.revoke({task!r}, terminate=True)\nanswer = None")


def test_a_long_task_runs_once_on_its_queue_and_twice_on_another(host, variables):
    assert redis_cli(host, variables, "ACL", "LOG", "RESET") == ["OK"]
    # Twice and more what the other worker waits before it gives back what it knows of.
    long = send(host, "report", 3 * VISIBILITY)
    other = send(host, "work", 2 * VISIBILITY, queue="celery")
    assert result(host, long) == 3 * VISIBILITY
    # Without the other, nobody would know that this one could have gone wrong.
    until(lambda: received(host, other) > 1, SECONDS)
    assert received(host, long) == 1
    with_celery(host, f"app.control.revoke({other!r}, terminate=True)\nanswer = None")
    # All of it within the rights that the inventory's workers are given.
    assert redis_cli(host, variables, "ACL", "LOG") in ([], [""])


def test_the_environment_and_the_unit_hold_no_secret_that_everybody_may_read(host, variables):
    with host.sudo():
        seen = host.check_output("systemctl cat 'celery-worker@*'; systemctl show 'celery-worker@*'")
    assert "CELERY_WORKER_SETTINGS" in seen
    assert variables["redis_celery_password"] not in seen
    assert [value for value in variables["celery_app_environment"].values() if value in seen] == []
