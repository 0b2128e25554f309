# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the deployed worker is beside one with Celery's own defaults in the same environment, and what each safety costs.

bench.py runs it on the host, as root, by the Python of the current release: throughput.py TASKS ROUNDS. What it prints is JSON.

All workers run at once, each in a database of its own, and take turns of about a second: what else the machine does meets all of them. A turn
begins when its tasks appear in the queue all at once, so that a worker is measured, and neither the sender nor the second for which a worker
asks Redis for tasks before it looks at other queues.
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from celery import Celery

UNIT = "celery-worker@default"
ENV_FILE = "/etc/celery/celery.env"
TASK = "taskqueue_example.echo"
# The example application as Celery finds it, with nothing of the collection's but what is under test.
PLAIN = """
import json, os
from taskqueue_example import app
app.conf.update(json.loads(os.environ["BENCH_SETTINGS"]))
"""
LATE = {"task_acks_late": True, "task_reject_on_worker_lost": True}
WATCHED = {
    "broker_transport_options": {"socket_keepalive": True, "health_check_interval": 25},
    "redis_socket_keepalive": True,
    "redis_backend_health_check_interval": 25,
}
DIRECT = {"worker_direct": True}
# What systemd gives the unit beside its sandbox.
NOTIFY = ("--property=Type=notify", "--property=NotifyAccess=main")
WATCHDOG = ("--property=WatchdogSec=120",)
TURNS = 10
TRIPS = 20


@dataclass(frozen=True)
class Variant:
    """A worker that is measured: the unit, or one that is started for this."""

    deployed: bool = False
    # None: those that the collection deploys.
    settings: dict | None = None
    properties: tuple[str, ...] = ()
    max_redeliveries: str = "5"
    append_only: bool = True


# The first two are compared.
VARIANTS = {
    "as deployed": Variant(deployed=True),
    "Celery's defaults": Variant(settings={}),
    "defaults, and tasks are acknowledged late": Variant(settings=LATE),
    "defaults, and connections are watched": Variant(settings=WATCHED),
    "defaults, and a queue for each worker": Variant(settings=DIRECT),
    "defaults, and these three": Variant(settings={**LATE, **WATCHED, **DIRECT}),
    "as deployed, without the unit's sandbox": Variant(properties=NOTIFY + WATCHDOG),
    "as deployed, without sandbox, watchdog and count of redeliveries": Variant(properties=NOTIFY, max_redeliveries="0"),
    "as deployed, Redis without its append-only file": Variant(deployed=True, append_only=False),
}


def call(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Worker:
    def __init__(self, variant: Variant, number: int, directory: str) -> None:
        self.variant = variant
        self.unit = UNIT if variant.deployed else f"bench-worker-{number}"
        with open(ENV_FILE, encoding="utf-8") as file:
            deployed = dict(entry.split("=", 1) for entry in shlex.split(file.read(), comments=True))
        self.url = deployed["CELERY_BROKER_URL"] if variant.deployed else f"redis://127.0.0.1:6379/{number}"
        self.app = Celery(broker=self.url, backend=self.url, set_as_current=False)
        self.redis = self.app.backend.client
        self.environment = {"CELERY_BROKER_URL": self.url, "CELERY_RESULT_BACKEND": self.url}
        self.module = "taskqueue_stack"
        if variant.settings is None:
            self.environment = {**deployed, **self.environment, "CELERY_MAX_REDELIVERIES": variant.max_redeliveries}
        else:
            self.module = "bench_plain"
            self.environment.update(PYTHONPATH=directory, BENCH_SETTINGS=json.dumps(variant.settings))

    @contextmanager
    def running(self) -> Iterator[None]:
        if not self.variant.deployed:
            celery = os.path.join(os.path.dirname(sys.executable), "celery")
            call(
                "systemd-run", "--quiet", "--collect", f"--unit={self.unit}", "--uid=celery", "--working-directory=/var/lib/celery",
                *(f"--setenv={name}={value}" for name, value in self.environment.items()), *self.variant.properties,
                celery, "-A", self.module, "worker", "--loglevel=INFO",
            )  # fmt: skip
        try:
            yield
        finally:
            if not self.variant.deployed:
                call("systemctl", "stop", self.unit)
                self.redis.flushdb()

    @contextmanager
    def redis_as_wanted(self) -> Iterator[None]:
        if self.variant.append_only:
            yield
            return
        self.redis.config_set("appendonly", "no")
        try:
            yield
        finally:
            self.redis.config_set("appendonly", "yes")
            while self.redis.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(0.1)

    def processor(self) -> int:
        """Nanoseconds that the worker's processes have used."""
        return int(call("systemctl", "show", "--property=CPUUsageNSec", "--value", self.unit))

    def turn(self, number: int) -> dict[str, float]:
        """Its tasks a second, the microseconds of a processor each takes, and the milliseconds that one takes there and back."""
        keys = [self.app.backend.get_key_for_task(self.app.send_task(TASK, [each], queue="waiting").id) for each in range(number)]
        used, start = self.processor(), time.monotonic()
        self.redis.rename("waiting", "celery")
        left = list(keys)
        while left:
            if self.redis.exists(left[-1]):
                left.pop()
            else:
                time.sleep(0.005)
        seconds, used = time.monotonic() - start, self.processor() - used
        self.redis.delete(*keys)
        return {"rate": number / seconds, "processor": used / number / 1000, "latency": statistics.median(self.trip() for _trip in range(TRIPS))}

    def trip(self) -> float:
        start = time.monotonic()
        self.app.send_task(TASK, [0]).get(timeout=60)
        return (time.monotonic() - start) * 1000


def measure(number: int) -> dict[str, dict[str, float]]:
    """One round: the medians of each worker's turns."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        os.chmod(directory, 0o755)
        with open(os.path.join(directory, "bench_plain.py"), "w", encoding="utf-8") as file:
            file.write(PLAIN)
        workers = {name: Worker(variant, each, directory) for each, (name, variant) in enumerate(VARIANTS.items())}
        for worker in workers.values():
            stack.enter_context(worker.running())
        for worker in workers.values():
            for _trip in range(TRIPS):
                worker.trip()
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        for _turn in range(TURNS):
            for name, worker in workers.items():
                with worker.redis_as_wanted():
                    turns[name].append(worker.turn(number))
    return {name: {kind: statistics.median(turn[kind] for turn in each) for kind in each[0]} for name, each in turns.items()}


def main(number: int, rounds: int) -> None:
    measured = [measure(number) for _round in range(rounds)]
    print(json.dumps({name: [each[name] for each in measured] for name in VARIANTS}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
