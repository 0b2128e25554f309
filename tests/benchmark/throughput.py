# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the deployed worker is beside one with Celery's own defaults in the same environment, and what each safety costs.

bench.py runs it on the host, as root, by the Python of the current release: throughput.py TASKS ROUNDS. What it prints is JSON.
Tasks wait in the queue before the clock starts, so that the worker is measured and not the sender.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

UNIT = "celery-worker@default"
ENV_FILE = "/etc/celery/celery.env"
# The example application as Celery finds it, with nothing of the collection's but what is under test.
PLAIN = """
import json, os
from taskqueue_example import app
app.conf.update(json.loads(os.environ["BENCH_SETTINGS"]))
"""
WATCHED = {"socket_keepalive": True, "health_check_interval": 25}


@dataclass(frozen=True)
class Variant:
    """A worker that is measured: the unit, or one that is started for this."""

    deployed: bool = False
    # None: those that the collection deploys.
    settings: dict | None = field(default_factory=dict)
    append_only: bool = True

    @property
    def module(self) -> str:
        return "taskqueue_stack" if self.settings is None else "bench_plain"

    def environment(self, directory: str) -> dict[str, str]:
        if self.settings is None:
            return {}
        database = "redis://127.0.0.1:6379/1"
        settings = json.dumps(self.settings)
        return {"PYTHONPATH": directory, "BENCH_SETTINGS": settings, "CELERY_BROKER_URL": database, "CELERY_RESULT_BACKEND": database}


# The first two are compared.
VARIANTS = {
    "as deployed": Variant(deployed=True, settings=None),
    "Celery's defaults": Variant(),
    "defaults, and tasks are acknowledged late": Variant(settings={"task_acks_late": True, "task_reject_on_worker_lost": True}),
    "defaults, and connections are watched": Variant(
        settings={"broker_transport_options": WATCHED, "redis_socket_keepalive": True, "redis_backend_health_check_interval": 25}
    ),
    "defaults, and a queue for each worker": Variant(settings={"worker_direct": True}),
    "as deployed, without the unit's sandbox": Variant(settings=None),
    "as deployed, Redis without its append-only file": Variant(deployed=True, settings=None, append_only=False),
}


def call(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def worker(variant: Variant, environment: dict[str, str]) -> Iterator[None]:
    """The one that is measured runs, and no other."""
    call("systemctl", "stop", UNIT)
    call("redis-cli", "config", "set", "appendonly", "yes" if variant.append_only else "no")
    try:
        if variant.deployed:
            call("systemctl", "start", UNIT)
        else:
            given = [f"--setenv={name}={value}" for name, value in environment.items()] or [f"--property=EnvironmentFile={ENV_FILE}"]
            celery = os.path.join(os.path.dirname(sys.executable), "celery")
            call(
                "systemd-run", "--quiet", "--collect", "--unit=bench-worker", "--uid=celery", "--working-directory=/var/lib/celery", *given,
                celery, "-A", variant.module, "worker", "--loglevel=INFO",
            )  # fmt: skip
        yield
    finally:
        if not variant.deployed:
            call("systemctl", "stop", "bench-worker")
        call("redis-cli", "config", "set", "appendonly", "yes")
        call("systemctl", "start", UNIT)


def measure(module: str, number: int) -> dict[str, float]:
    """In the environment of the worker: its tasks a second, and the milliseconds that a task takes there and back."""
    app = importlib.import_module(module).app
    echo = app.tasks["taskqueue_example.echo"]
    backend = app.backend.client
    echo.delay(0).get(timeout=60)
    app.control.cancel_consumer("celery", reply=True)
    keys = [app.backend.get_key_for_task(echo.delay(each).id) for each in range(number)]
    start = time.monotonic()
    app.control.add_consumer("celery")
    while backend.exists(*keys) < number:
        time.sleep(0.01)
    rate = number / (time.monotonic() - start)
    backend.delete(*keys)
    trips = []
    for each in range(200):
        start = time.monotonic()
        echo.delay(each).get(timeout=60)
        trips.append((time.monotonic() - start) * 1000)
    return {"rate": rate, "latency": sorted(trips)[len(trips) // 2]}


def main(number: int, rounds: int) -> None:
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        with open(os.path.join(directory, "bench_plain.py"), "w", encoding="utf-8") as file:
            file.write(PLAIN)
        for _round in range(rounds):
            for name, variant in VARIANTS.items():
                environment = variant.environment(directory)
                with worker(variant, environment):
                    answer = subprocess.run(
                        [sys.executable, __file__, "measure", variant.module, str(number)],
                        env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True,
                    )  # fmt: skip
                measured[name].append(json.loads(answer.stdout))
    print(json.dumps(measured))


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
    else:
        main(int(sys.argv[1]), int(sys.argv[2]))
