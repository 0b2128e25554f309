"""What the module celery_worker_info tells of live workers and queues."""

from __future__ import annotations

import json
import time

import pytest
from conftest import with_celery, workers

testinfra_hosts = ["ansible://celery_worker"]


def _ask(host, variables, **options: object) -> dict:
    arguments = {"workers": workers(variables), "timeout": 5, **options}
    return host.ansible("taskqueue.stack.celery_worker_info", json.dumps(arguments), check=False, become=True)


def test_tells_of_each_worker(host, variables):
    answer = _ask(host, variables, interval=0)
    assert answer["changed"] is False
    assert answer["findings"] == []
    found = {worker["name"]: worker for worker in answer["workers"]}
    for instance in variables.get("celery_worker_instances", [{"name": "default"}]):
        worker = found[f"{instance['name']}@{variables['inventory_hostname']}"]
        assert worker["pool"] == instance.get("pool", "prefork")
        assert set(instance.get("queues", ["celery"])) <= set(worker["queues"])
        assert worker["concurrency"] == instance.get("concurrency", worker["concurrency"]) > 0
        assert "taskqueue_example.echo" in worker["registered"]
        assert set(worker["versions"]) == {"celery", "kombu", "python"}


def test_finds_a_worker_that_answers_and_takes_nothing(host, variables):
    if variables["inventory_hostname"] != min(variables["groups"]["celery_worker"]):
        pytest.skip("one host of each scenario is enough")
    worker = workers(variables)[0]
    queue = f"{worker}.dq2"
    # With a task every three seconds it holds as many as it may, and its queue waits while nothing runs.
    limit = f"app.control.rate_limit('taskqueue_example.echo', {{!r}}, destination=[{worker!r}], reply=True, timeout=20)"
    send = f"for _ in range(60): app.send_task('taskqueue_example.echo', ['x'], queue={queue!r}, expires=300)"
    with_celery(host, f"{limit.format('20/m')}\n{send}\nanswer = None")
    try:
        deadline = time.monotonic() + 60
        while True:
            answer = _ask(host, variables, interval=1)
            # Where beat sends tasks to this worker, their queue waits as well.
            if ("standing_still", queue, [worker]) in [(found["kind"], found["queue"], found["workers"]) for found in answer["findings"]]:
                break
            assert time.monotonic() < deadline, answer["findings"]
        described = next(found for found in answer["queues"] if found["name"] == queue)
        assert described["waiting"] > 0 and described["consumers"] == [worker]
    finally:
        with_celery(host, f"{limit.format('0')}\nanswer = None")
    deadline = time.monotonic() + 120
    while next(found for found in _ask(host, variables, interval=0)["queues"] if found["name"] == queue)["depth"]:
        assert time.monotonic() < deadline, "the queue was not worked off"


def test_finds_silent_workers_and_queues_without_a_consumer(host, variables):
    name = f"none@{variables['inventory_hostname']}"
    answer = _ask(host, variables, workers=[name], queues=["nowhere"], interval=0, timeout=1)
    assert {(found["kind"], found["queue"], *found["workers"]) for found in answer["findings"]} == {
        ("worker_silent", None, name), ("no_consumer", "nowhere")}
