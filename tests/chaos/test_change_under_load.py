"""What Redis can take while it runs is changed while it runs: under load the process stays, and no task is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from conftest import redis_cli, run_playbook, with_celery

testinfra_hosts = ["ansible://redis"]

# Sends until somebody says that it is enough, and waits for all of it.
LOAD = """
import time
redis, deadline = app.backend.client, time.monotonic() + 300
sent = []
while not redis.exists("celery-enough") and time.monotonic() < deadline:
    sent.append(app.send_task("taskqueue_example.echo", [len(sent)], retry=False).id)
    time.sleep(0.005)
def back():
    return redis.exists(*["celery-task-meta-" + task for task in sent])
while back() < len(sent) and time.monotonic() < deadline + 60:
    time.sleep(0.2)
answer = dict(sent=len(sent), lost=len(sent) - back())
"""


def test_maxmemory_changes_in_the_same_process(host, variables):
    busy = host.get_host(f"ansible://{host.backend.host}", ansible_inventory=host.backend.ansible_inventory)
    # The tests before have left other settings, some of which cost a restart.
    run_playbook(host, "redis")
    (before,) = (line for line in redis_cli(host, variables, "INFO", "server") if line.startswith("process_id:"))
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(with_celery, busy, LOAD)
        try:
            assert run_playbook(host, "redis", redis_config={"maxmemory": "777mb"}) == 1
        finally:
            redis_cli(host, variables, "SET", "celery-enough", "1")
            figures = load.result()
            redis_cli(host, variables, "DEL", "celery-enough")
    assert redis_cli(host, variables, "CONFIG", "GET", "maxmemory") == ["maxmemory", str(777 * 1024**2)]
    assert before in redis_cli(host, variables, "INFO", "server")
    print(f"{host.backend.host}: {before} all the time that maxmemory changed; of {figures['sent']} tasks meanwhile, {figures['lost']} were lost")
    assert figures["lost"] == 0 and figures["sent"] > 100
