"""What Redis can take while it runs is changed while it runs: under load the process stays, and no task is lost."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

from conftest import redis_cli, with_celery

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


def test_maxmemory_changes_in_the_same_process(host, variables, pytestconfig):
    name, inventory = variables["inventory_hostname"], pytestconfig.getoption("--ansible-inventory")
    busy = host.get_host(f"ansible://{name}", ansible_inventory=inventory)
    process, maxmemory = (redis_cli(host, variables, *question) for question in (["INFO", "server"], ["CONFIG", "GET", "maxmemory"]))
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(with_celery, busy, LOAD)
        try:
            done = subprocess.run(
                ["ansible-playbook", f"--inventory={inventory}", f"--limit=localhost,{name}", "taskqueue.stack.redis",
                 f"--extra-vars={json.dumps({'redis_config': {'maxmemory': '777mb'}})}"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
        finally:
            redis_cli(host, variables, "SET", "celery-enough", "1")
            figures = load.result()
            redis_cli(host, variables, "DEL", "celery-enough")
    assert done.returncode == 0, done.stdout
    assert redis_cli(host, variables, "CONFIG", "GET", "maxmemory") == ["maxmemory", str(777 * 1024**2)] != maxmemory
    after = redis_cli(host, variables, "INFO", "server")
    (before,) = (line for line in process if line.startswith("process_id:"))
    print(f"{name}: {before} before and after maxmemory changed, while {figures['sent']} tasks went through, {figures['lost']} of them lost")
    assert before in after
    assert figures["lost"] == 0 and figures["sent"] > 100
