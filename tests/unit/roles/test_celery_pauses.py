# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pauses that go, in Celery and billiard as they are, and those that stay."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from billiard import pool
from celery import signals
from celery.concurrency import prefork
from kombu.asynchronous import Hub, get_event_loop, set_event_loop

FILE = Path(__file__).parents[3] / "roles/celery_app/files/taskqueue_pauses.py"


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("taskqueue_pauses", FILE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    for patched in (pool, prefork):
        monkeypatch.setattr(patched, "time", time)
    loaded.install()
    yield loaded
    signals.worker_process_shutdown.disconnect(loaded.leave_at_once)


class Ended(Exception):
    pass


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (pool.EX_OK, False),
        # Its parent goes on, and listens.
        (pool.EX_RECYCLE, True),
    ],
)
def test_process_that_was_told_to_end_does_so_at_once(monkeypatch: pytest.MonkeyPatch, code: int, waits: bool) -> None:
    def end(_code: int) -> None:
        raise Ended

    said: list = []
    process = SimpleNamespace(on_exit=prefork.process_destructor, outq=SimpleNamespace(put=said.append))
    monkeypatch.setattr(os, "_exit", end)
    began = time.monotonic()
    with pytest.raises(Ended):
        pool.Worker._do_exit(process, 42, code)
    assert (time.monotonic() - began > 0.9) is waits
    assert said == [(pool.DEATH, (42, code))]


def test_pool_is_not_waited_for_when_it_has_ended() -> None:
    stopped = prefork.TaskPool.__new__(prefork.TaskPool)
    # It takes a moment, so that the thread sleeps.
    stopped._pool = SimpleNamespace(_state=pool.RUN, close=lambda: None, join=lambda: time.sleep(0.1))
    before = get_event_loop()
    set_event_loop(Hub())
    began = time.monotonic()
    try:
        stopped.on_stop()
    finally:
        set_event_loop(before)
    assert time.monotonic() - began < 0.4


def test_nobody_else_sleeps_less() -> None:
    assert (time.sleep.__module__, prefork.time.monotonic) == ("time", time.monotonic)
