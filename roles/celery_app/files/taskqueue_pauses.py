"""Takes two pauses out of the stop of a worker with the pool prefork, which is 1.5 seconds of each restart (measured with Celery 5.7).

- A process of the pool says that it ends, and then waits a second for its parent to end it (``_do_exit()`` in billiard/pool.py). A parent that
  stops has told it to end and does not listen any more, but waits for the process. What its tasks returned has been read by then:
  ``_ensure_messages_consumed()`` in the same file comes first.
- While the parent waits, a thread fires its timers every half second, and is waited for in turn (``on_stop()`` in celery/concurrency/prefork.py).

Where Celery or billiard come to do this in other ways, nothing here has an effect.
"""
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from types import ModuleType, SimpleNamespace

from billiard import pool
from celery import signals
from celery.concurrency import prefork

# Seconds, at most, for which the thread sleeps between its looks at the timers.
LONGEST = 0.05
# How a process of the pool ends that was told to: neither replaced nor killed. (EX_OK in billiard/pool.py)
TOLD_TO = 0


def install() -> None:
    """Let every worker of this application stop so."""
    limit_sleeps(prefork, LONGEST)
    signals.worker_process_shutdown.connect(leave_at_once)


def limit_sleeps(module: ModuleType, seconds: float) -> None:
    """For what a module calls by the name time, and nothing else."""
    module.time = SimpleNamespace(**{**vars(time), "sleep": lambda wanted: time.sleep(min(wanted, seconds))})


def leave_at_once(exitcode: int | None = None, **_options: object) -> None:
    """The last that a process of the pool does."""
    if exitcode == TOLD_TO:
        limit_sleeps(pool, 0)
