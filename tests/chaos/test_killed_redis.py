"""Redis is killed under load. What waited in a queue is there when it is back, and the workers go on by themselves."""

from __future__ import annotations

from conftest import redis_cli, with_celery, workers

testinfra_hosts = ["ansible://redis"]

QUEUED = 2000
# Sends tasks to a queue that nobody consumes yet, and as many to the worker that is at work. Each counts as sent when Redis
# has said so; what an interruption prevents is sent once Redis is back.
LOAD = f"""
import time
def send(queue, number):
    deadline = time.monotonic() + 60
    while True:
        try:
            return app.send_task("taskqueue_example.echo", [number], queue=queue).id
        except Exception as error:
            interruptions.append(repr(error))
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
def how_many_came_back(tasks):
    return app.backend.client.exists(*["celery-task-meta-" + task for task in tasks])
def wait(condition):
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
interruptions = []
queued, running = [], []
# On a busy machine the kill may come late; without it there is nothing to see.
while len(queued) < {QUEUED} or not interruptions and len(queued) < {20 * QUEUED}:
    queued.append(send("waiting", len(queued)))
    running.append(send("celery", len(running)))
resumed = time.monotonic()
app.send_task("taskqueue_example.echo", ["there again"]).get(timeout=120)
resumed = time.monotonic() - resumed
app.control.add_consumer("waiting", destination=%r, reply=True, timeout=10)
wait(lambda: how_many_came_back(queued) == len(queued))
app.control.cancel_consumer("waiting", destination=%r, reply=True, timeout=10)
answer = dict(sent=len(queued), interruptions=len(interruptions), resumed=resumed, lost=len(queued) - how_many_came_back(queued),
              lost_running=len(running) - how_many_came_back(running))
"""
# As soon as a good part is queued. In the background of the host: a login takes longer than the sending.
KILL = "until [ $(redis-cli llen waiting) -ge 500 ]; do sleep 0.01; done; kill -9 $(systemctl show --property=MainPID --value %s)"


def test_no_queued_task_is_lost(host, variables):
    service = "redis-server" if host.exists("apt-get") else "redis"
    nodes = workers(variables)
    with host.sudo():
        before = host.service(service).systemd_properties["MainPID"]
        host.check_output(f"systemd-run --collect timeout 120 sh -c '{KILL % service}'")
    figures = with_celery(host, LOAD % (nodes, nodes))
    with host.sudo():
        assert host.service(service).systemd_properties["MainPID"] != before
    print(
        f"{variables['inventory_hostname']}: of {figures['sent']} queued tasks, {figures['lost']} were lost; of as many that the worker was running, "
        f"{figures['lost_running']}; {figures['interruptions']} attempts to send failed; the worker resumed {figures['resumed']:.1f} s later"
    )
    assert figures["interruptions"] > 0, "nothing was sent while Redis was gone"
    assert figures["lost"] == 0
    assert redis_cli(host, variables, "LLEN", "waiting") == ["0"]
