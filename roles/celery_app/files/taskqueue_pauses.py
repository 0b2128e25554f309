"""Takes pauses out of the stop and the start of a worker, which are 2.5 seconds of each restart (measured with Celery 5.7).

Two of its stop, with the pool prefork:

- A process of the pool says that it ends, and then waits a second for its parent to end it (``_do_exit()`` in billiard/pool.py). A parent that
  stops has told it to end and does not listen any more, but waits for the process. What its tasks returned has been read by then:
  ``_ensure_messages_consumed()`` in the same file comes first.
- While the parent waits, a thread fires its timers every half second, and is waited for in turn (``on_stop()`` in celery/concurrency/prefork.py).

One of its start: a worker asks its neighbors which tasks were revoked, and waits a second for answers, whoever there may be
(``send_hello()`` in celery/worker/consumer/mingle.py). Redis knows who there is: each worker's mailbox is bound while it runs. With nobody
else there, nobody is asked, and otherwise the answers of all of them end the wait. The mailbox of one that was killed stays bound, and is
waited for as ever.

Where Celery or billiard come to do this in other ways, nothing here has an effect.
"""
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType, SimpleNamespace

from billiard import pool
from celery import signals
from celery.concurrency import prefork
from celery.worker.consumer.mingle import Mingle
from kombu.exceptions import InconsistencyError

# Seconds, at most, for which the thread sleeps between its looks at the timers.
LONGEST = 0.05
# How a process of the pool ends that was told to: neither replaced nor killed. (EX_OK in billiard/pool.py)
TOLD_TO = 0


def install() -> None:
    """Let every worker of this application stop and start so."""
    Mingle.send_hello = asking_those_who_are_there(Mingle.send_hello)
    limit_sleeps(prefork, LONGEST)
    signals.worker_process_shutdown.connect(leave_at_once)


def limit_sleeps(module: ModuleType, seconds: float) -> None:
    """For what a module calls by the name time, and nothing else."""
    module.time = SimpleNamespace(**{**vars(time), "sleep": lambda wanted: time.sleep(min(wanted, seconds))})


def leave_at_once(exitcode: int | None = None, **_options: object) -> None:
    """The last that a process of the pool does."""
    if exitcode == TOLD_TO:
        limit_sleeps(pool, 0)


def asking_those_who_are_there(send_hello: Callable) -> Callable:
    """What a worker does to hear of revoked tasks, without the wait for nobody."""

    @wraps(send_hello)
    def _send_hello(step, consumer):
        try:
            bound = mailboxes(consumer)
        except Exception:
            # Another transport, or a broker that is away: what comes next says so.
            return send_hello(step, consumer)
        control = consumer.app.control
        if not bound - {f"{consumer.hostname}.{control.mailbox.exchange.name}"}:
            return {}
        inspect = control.inspect
        control.inspect = partial(inspect, limit=len(bound))
        try:
            return send_hello(step, consumer)
        finally:
            control.inspect = inspect

    return _send_hello


def mailboxes(consumer) -> set[str]:
    """Those that are bound to the exchange of remote control, NAME@HOST and the name of that."""
    try:
        return {queue for *_keys, queue in consumer.connection.default_channel.get_table(consumer.app.control.mailbox.exchange.name)}
    except InconsistencyError:
        # kombu's word for none.
        return set()
