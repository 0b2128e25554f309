# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the seconds of a run on one host go: bench.py reads what this appends to the file BENCH_SPANS, a line for each span.

It looks into Ansible, so it belongs to the version that the tests are pinned to. Tasks run in processes that are forked from the one in which
this is loaded, and inherit what it has put in place.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: spans
type: aggregate
short_description: Note where the seconds of a run go
description: Appends to the file that E(BENCH_SPANS) names, for each span its kind and its seconds.
"""

import os
import time
from collections.abc import Callable

import jinja2
from ansible.plugins import action
from ansible.plugins.callback import CallbackBase


def note(kind: str, seconds: float) -> None:
    with open(os.environ["BENCH_SPANS"], "a", encoding="utf-8") as file:
        file.write(f"{kind}\t{seconds:.6f}\n")


def watch(owner: object, name: str, kind: str) -> None:
    """Have each call noted."""
    watched: Callable = getattr(owner, name)

    def call(*args: object, **kwargs: object) -> object:
        start = time.monotonic()
        try:
            return watched(*args, **kwargs)
        finally:
            note(kind, time.monotonic() - start)

    setattr(owner, name, call)


class CallbackModule(CallbackBase):
    """Sees the start; the rest is put in place when this is loaded."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "spans"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        watch(action, "modify_module", "modules")
        watch(action.ActionBase, "_low_level_execute_command", "host")
        watch(jinja2.Environment, "compile", "templates")
        self.started = False

    def v2_playbook_on_task_start(self, task: object, is_conditional: bool) -> None:
        if not self.started:
            self.started = True
            note("start", time.time() - float(os.environ["BENCH_STARTED"]))
