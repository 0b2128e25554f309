"""Tells systemd how a worker is: ready once it consumes, alive as long as it does, stopping from the first moment.

Celery says none of this by itself. A worker that answers ``celery inspect ping`` may have ceased to consume long ago, so
what is watched here are the two things that consuming consists of, in every pool: the worker's loop turns, and Redis answers
the BRPOP with which the worker waits for tasks (every second, also when there is none).
"""
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from functools import partial

from celery import Celery, bootsteps
from celery.concurrency.solo import TaskPool as Solo
from celery.utils.log import get_logger
from celery.worker import state
from kombu.utils import functional

# After the broker was away, Celery waits up to 30 seconds before it tries again (kombu's interval_max).
PATIENCE = 60.0
# Seconds for each step of the question whether the broker is there.
PROBE = 3.0

CONSUMING = "Consuming"
WAITING = "Waiting for the broker, which does not answer, or did not a moment ago"
SILENT = "Not consuming, although the broker answers"

logger = get_logger(__name__)


def install(app: Celery) -> None:
    """Let every worker of this application speak to systemd."""
    # While gevent patches the standard library it looks at every object for locks, Celery's lazy ones among them. That imports
    # kombu before time is patched, so that each second in which kombu waits for the broker would stop all green threads.
    functional.sleep = time.sleep
    app.steps["consumer"].add(Consuming)
    app.steps["worker"].add(Stopping)


def notify(message: str) -> None:
    """sd_notify(3). A message that is lost does no harm: the next one follows, or the state in systemd is an older one."""
    address = os.environ["NOTIFY_SOCKET"]
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.sendto(message.encode(), address)


class Stopping(bootsteps.StartStopStep):
    """From here on TimeoutStopSec counts, whoever asked for the stop, and the watchdog does not."""

    def close(self, worker) -> None:
        notify("STOPPING=1\nSTATUS=Finishing the running tasks")


class Consuming(bootsteps.StartStopStep):
    """Watches the consumer. Started anew with each connection to the broker, as all steps of a consumer are."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, consumer, **kwargs) -> None:
        super().__init__(consumer, **kwargs)
        self._consumer = consumer
        self._channel = None
        self._ready = False
        self._status = CONSUMING
        self._broker_was_away = -PATIENCE
        # What happened since the last look.
        self._turned = self._answered = self._was_full = False

    def start(self, consumer) -> None:
        channel = self._channel = consumer.task_consumer.channel
        channel.handlers["BRPOP"] = partial(self._read, channel.handlers["BRPOP"])
        if consumer.hub:
            consumer.hub.on_tick.add(self._turn)
        elif not self._ready:
            # The loop of gevent and eventlet begins each turn with this.
            consumer.perform_pending_operations = partial(self._turn, consumer.perform_pending_operations)

    def _read(self, read, **options):
        self._answered = True
        return read(**options)

    def _turn(self, operations=None) -> None:
        self._turned = True
        self._was_full = self._was_full or not self._channel.qos.can_consume()
        if not self._ready:
            self._ready = True
            notify(f"READY=1\nSTATUS={CONSUMING}")
            seconds = int(os.environ.get("WATCHDOG_USEC", 0)) / 1e6
            if seconds:
                threading.Thread(target=self._watch, args=(seconds / 4,), name="watchdog", daemon=True).start()
        if operations:
            operations()

    def _watch(self, interval: float) -> None:
        while True:
            time.sleep(interval)
            if self._look() != SILENT:
                notify("WATCHDOG=1")

    def _look(self) -> str:
        """How the worker is. A change goes into its status, and into the journal what systemd is going to do about it."""
        if self._does_consume():
            found = CONSUMING
        else:
            if not self._broker_answers():
                self._broker_was_away = time.monotonic()
            found = WAITING if time.monotonic() - self._broker_was_away < PATIENCE else SILENT
        if found != self._status:
            self._status = found
            notify(f"STATUS={found}")
            if found == SILENT:
                logger.error("This worker does not consume, although the broker answers. If it stays so, systemd restarts it.")
        return found

    def _does_consume(self) -> bool:
        consumer = self._consumer
        turned, answered, was_full = self._turned, self._answered, self._was_full
        self._turned = self._answered = self._was_full = False
        if turned:
            # cancel_consumer, for every queue: nothing is to be consumed.
            idle = not consumer.app.amqp.queues.consume_from
            return answered or idle or (was_full and self._has_tasks())
        # These pools run tasks in the loop's own thread, or let the loop wait until one of them has finished.
        in_line = consumer.pool.is_green or isinstance(consumer.pool, Solo)
        return in_line and len(state.active_requests) > 0

    def _has_tasks(self) -> bool:
        """Whether the worker holds tasks, so that it is no surprise when it takes no more."""
        buckets = list(self._consumer.task_buckets.values())
        return bool(len(state.reserved_requests) or len(state.scheduled_requests) or any(bucket and bucket.contents for bucket in buckets))

    def _broker_answers(self) -> bool:
        limits = {"socket_timeout": PROBE, "socket_connect_timeout": PROBE}
        try:
            with self._consumer.app.connection_for_read(transport_options=limits) as connection:
                # One attempt, where connect() would make two, with a pause between them.
                transport = connection.transport
                transport.close_connection(transport.establish_connection())
        except Exception as error:  # of any kind: it is no use either way
            logger.debug("The broker does not answer: %r", error)
            return False
        return True
