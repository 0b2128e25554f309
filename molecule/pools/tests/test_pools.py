"""Each pool is what it was asked to be, starts only when it can, is restarted when it is broken, and is otherwise left alone.

The hosts have their turn side by side, and on each host all that has to be waited for.
"""

from __future__ import annotations

import time

import pytest
import testinfra
from conftest import Machine, redis_cli, side_by_side, until, with_celery

WATCHDOG = 20
# Longer than the watchdog's patience, and as short as can be.
LONG = 32
# For all that a busy machine needs.
SECONDS = 180


class Host(Machine):
    """A test host and the workers on it."""

    def show(self, worker: str, name: str) -> str:
        return self.root(f"systemctl show --property={name} celery-worker@{worker}").partition("=")[2]

    def pids(self, workers: list[str]) -> list[str]:
        return [self.show(worker, "MainPID") for worker in workers]

    def journal(self, worker: str) -> str:
        return self.root(f"journalctl --quiet --output=cat --unit=celery-worker@{worker}")

    def celery(self, code: str) -> object:
        return with_celery(self.host, f"from celery.utils.nodenames import worker_direct\nhere = '@{self.name}'\n{code}")

    def control(self, command: str, workers: list[str]) -> set[str]:
        """Which of the workers answered to a remote control command."""
        nodes = [f"{worker}@{self.name}" for worker in workers]
        replies = f"app.control.broadcast({command!r}, destination={nodes}, reply=True, timeout=20, limit={len(nodes)})"
        answered = self.celery(f"answer = [node for reply in {replies} or [] for node in reply]")
        return {node.partition("@")[0] for node in answered}

    def send(self, task: str, argument: object, *workers: str) -> list[str]:
        """Sends a task to each worker's own queue."""
        return self.celery(f"answer = [app.send_task({task!r}, [{argument!r}], queue=worker_direct(w + here)).id for w in {workers!r}]")

    def results(self, tasks: list[str]) -> list[object]:
        return self.celery(f"answer = [app.AsyncResult(task).get(timeout={SECONDS}) for task in {tasks!r}]")

    def answer(self, *workers: str) -> bool:
        return self.results(self.send("taskqueue_example.echo", "here", *workers)) == ["here"] * len(workers)


POOLS = ["prefork", "threads", "gevent", "eventlet", "solo"]


@pytest.fixture(scope="module")
def hosts(request: pytest.FixtureRequest) -> list[Host]:
    inventory = request.config.getoption("ansible_inventory")
    return [Host(host) for host in testinfra.get_hosts(["ansible://celery_worker"], ansible_inventory=inventory)]


def test_each_pool_is_as_asked(hosts: list[Host]) -> None:
    for host in hosts:
        stats = host.celery("answer = app.control.inspect([w + here for w in %r], timeout=20, limit=5).stats()" % POOLS)
        pools = {node.partition("@")[0]: said["pool"] for node, said in stats.items()}
        assert {name: pool["implementation"] for name, pool in pools.items()} == {
            name: f"celery.concurrency.{name.replace('threads', 'thread')}:TaskPool" for name in POOLS
        }
        prefork = stats[f"prefork@{host.name}"]
        assert (pools["prefork"]["max-tasks-per-child"], pools["prefork"]["timeouts"]) == (10, [80, 85])
        assert (prefork["autoscaler"]["max"], prefork["autoscaler"]["min"], prefork["prefetch_count"]) == (2, 1, 2)
        assert (pools["threads"]["max-concurrency"], pools["gevent"]["max-concurrency"]) == (2, 2)
        assert stats[f"eventlet@{host.name}"]["autoscaler"]["max"] == 2
        assert (host.show("prefork", "MemoryMax"), host.show("prefork", "TasksMax")) == (str(1 << 30), "64")
        assert set(host.show("prefork", "IPAddressAllow").split()) == {"127.0.0.0/8", "::1/128"}


# What becomes of each worker in the next test: on one host this, on the other that.
FATES = [
    {"deaf": ["prefork", "gevent"], "stuck": ["solo"], "drained": ["threads"], "busy": ["eventlet"], "stopping": []},
    {"deaf": ["threads", "eventlet"], "stuck": [], "drained": [], "busy": ["prefork", "solo"], "stopping": ["gevent"]},
]


def test_a_worker_that_does_not_consume_is_restarted_and_one_with_a_reason_is_not(hosts: list[Host]) -> None:
    side_by_side(_break, hosts, FATES)


def _break(host: Host, fate: dict[str, list[str]]) -> None:
    broken, fine = fate["deaf"] + fate["stuck"], fate["drained"] + fate["busy"]
    before = dict(zip(POOLS, host.pids(POOLS)))
    # More than its processes, threads or green threads can take, and than it may fetch ahead; solo takes one at a time.
    long = host.send("taskqueue_example.sleep", LONG, *fate["stopping"], *fate["busy"], *(worker for worker in fate["busy"] if worker != "solo"))
    short = host.send("taskqueue_example.echo", "later", *(worker for worker in fate["busy"] for number in range(8)))
    began = time.monotonic()
    for worker in fate["drained"]:
        queues = [worker, f"{worker}@{host.name}.dq2"]
        host.celery(f"answer = [app.control.cancel_consumer(q, destination=['{worker}' + here], reply=True, timeout=20) for q in {queues}]")
    assert host.control("go_deaf", fate["deaf"]) == set(fate["deaf"])
    for worker in fate["stuck"]:
        host.celery(f"answer = app.control.broadcast('get_stuck', destination=['{worker}' + here])")
    for worker in fate["stopping"]:
        host.root(f"systemctl kill --kill-who=main --signal=TERM celery-worker@{worker}")
    # They look well.
    assert host.control("ping", fate["deaf"]) == set(fate["deaf"])

    for worker in broken:
        until(lambda: host.show(worker, "MainPID") not in ("0", before[worker]), SECONDS)
        until(lambda: host.show(worker, "StatusText") == "Consuming", SECONDS)
        assert "Watchdog timeout" in host.journal(worker)
        assert "does not consume, although the broker answers" in host.journal(worker)
    assert host.answer(*broken)

    assert host.results(long) == [LONG] * len(long)
    assert host.results(short) == ["later"] * len(short)
    for worker in fate["stopping"]:
        # It finished its task, for longer than the watchdog's patience; then systemd started it again.
        until(lambda: host.show(worker, "StatusText") == "Consuming", SECONDS)
        assert "Watchdog timeout" not in host.journal(worker)
    time.sleep(max(0.0, LONG - (time.monotonic() - began)))  # the drained one: longer than the watchdog's patience
    after = host.pids(fine)
    for worker in fate["drained"]:
        host.root(f"systemctl restart celery-worker@{worker}")
    assert after == [before[worker] for worker in fine]


# A sixth worker, which cannot start. It lasts until the next boot at most.
BROKEN = "/run/systemd/system/celery-worker@broken.service"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("CELERY_APP=nonsense", "No module named 'nonsense'"),
        ("CELERY_BROKER_URL=redis://:wrong@127.0.0.1:6379/0", "invalid username-password pair"),
    ],
    ids=["no_such_module", "wrong_password"],
)
def test_a_start_fails_when_the_worker_cannot_consume(hosts: list[Host], environment: str, words: str) -> None:
    side_by_side(lambda host: _start_broken(host, environment, words), hosts)


def _start_broken(host: Host, environment: str, words: str) -> None:
    host.root(
        "sed -e '/--pool=/! s/solo/broken/' -e 's/^TimeoutStartSec=.*/TimeoutStartSec=20/' -e '/^EnvironmentFile=/a EnvironmentFile=/run/broken.env' "
        f"/etc/systemd/system/celery-worker@solo.service >{BROKEN}; "
        f"echo {environment} >/run/broken.env; systemctl daemon-reload"
    )
    try:
        with host.host.sudo():
            assert host.host.run("systemctl start celery-worker@broken").failed
        # Not for ever: it goes on trying, as what is wrong may come right.
        assert host.show("broken", "ActiveState") == "activating"
        assert words in host.journal("broken")
    finally:
        host.root(f"systemctl stop celery-worker@broken; rm {BROKEN} /run/broken.env; systemctl daemon-reload")


def test_while_redis_is_away_nobody_is_restarted_and_who_was_started_comes_up_by_itself(hosts: list[Host]) -> None:
    side_by_side(_without_redis, hosts)


def _without_redis(host: Host) -> None:
    there = [worker for worker in POOLS if worker != "solo"]
    before = host.pids(there)
    host.root("mkdir --parents /run/systemd/system/celery-worker@solo.service.d")
    host.root("printf '[Service]\\nTimeoutStartSec=15\\n' >/run/systemd/system/celery-worker@solo.service.d/test.conf; systemctl daemon-reload")
    host.root(f"systemctl stop {host.redis}")
    try:
        began = time.monotonic()
        with host.host.sudo():
            assert host.host.run("systemctl restart celery-worker@solo").failed
        assert "Cannot connect to redis" in host.journal("solo")
        time.sleep(max(0.0, LONG - (time.monotonic() - began)))
    finally:
        host.root(f"systemctl start {host.redis}")
        host.root("rm -r /run/systemd/system/celery-worker@solo.service.d; systemctl daemon-reload")
    until(lambda: redis_cli(host.host, host.variables, "PING") == ["PONG"])
    assert host.answer(*POOLS)
    assert host.pids(there) == before
