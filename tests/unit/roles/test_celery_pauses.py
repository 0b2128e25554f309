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
from celery.utils.collections import LimitedSet
from celery.worker.consumer.mingle import Mingle
from kombu.asynchronous import Hub, get_event_loop, set_event_loop
from kombu.exceptions import InconsistencyError

FILE = Path(__file__).parents[3] / "roles/celery_app/files/taskqueue_pauses.py"


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("taskqueue_pauses", FILE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    for patched in (pool, prefork):
        monkeypatch.setattr(patched, "time", time)
    monkeypatch.setattr(Mingle, "send_hello", Mingle.send_hello)
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


class Control:
    """Notes how workers are asked, and answers for one of them."""

    mailbox = SimpleNamespace(exchange=SimpleNamespace(name="celery.pidbox"))

    def __init__(self) -> None:
        self.asked: list[dict] = []

    def inspect(self, **options: object) -> SimpleNamespace:
        self.asked.append(options)
        return SimpleNamespace(hello=lambda *_own: {"default@b": {"clock": 1}})


def greet(table: object) -> tuple[dict, list[dict]]:
    """What a worker hears, and how it asks, with these mailboxes bound."""

    def get_table(exchange: str) -> list[tuple[str, str, str]]:
        assert exchange == "celery.pidbox"
        if isinstance(table, Exception):
            raise table
        return [("", "", f"{name}.celery.pidbox") for name in table]

    control = Control()
    consumer = SimpleNamespace(
        hostname="default@a", app=SimpleNamespace(control=control), controller=SimpleNamespace(state=SimpleNamespace(revoked=LimitedSet())),
        connection=SimpleNamespace(default_channel=SimpleNamespace(get_table=get_table)),
    )  # fmt: skip
    for unused in range(2):
        # As on the first start, so after a lost connection.
        heard = Mingle.send_hello(SimpleNamespace(), consumer)
    assert control.asked[0::2] == control.asked[1::2]
    return heard, [{name: value for name, value in options.items() if name != "connection"} for options in control.asked[::2]]


@pytest.mark.parametrize("table", [[], ["default@a"], InconsistencyError("no table")])
def test_a_worker_that_is_alone_asks_nobody(table: object) -> None:
    assert greet(table) == ({}, [])


@pytest.mark.parametrize(
    ("table", "limit"), [(["default@b"], 1), (["default@b", "default@c"], 2), (["default@a", "default@b"], 2)]
)
def test_the_answers_of_all_end_the_wait(table: list[str], limit: int) -> None:
    assert greet(table) == ({"default@b": {"clock": 1}}, [{"timeout": 1.0, "limit": limit}])


def test_who_cannot_be_counted_is_waited_for() -> None:
    assert greet(OSError("no broker")) == ({"default@b": {"clock": 1}}, [{"timeout": 1.0}])
