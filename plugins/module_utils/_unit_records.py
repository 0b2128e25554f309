# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether a running unit still runs what it should: the record of what each unit was started with.

Whether a restart is due must follow from the state of the host and not from what this run changed: a run that is killed
after it wrote a file and before it restarted the unit would otherwise leave an old process behind for ever.

So for each unit a digest over its unit file and the files its processes depend on is kept in /run, together with
the InvocationID that systemd gives to every start. While the unit still has that InvocationID, the digest decides, by
content and not by time. When it has another one, somebody else has started it (an operator, Restart=, a reboot), and it is up to
date if it started after the last change of all those files.

The record is no secret store: it lies in a directory that only root may enter, since the digest of a file with a weak
password could be guessed from. Environment= in the unit would be readable for everybody (systemctl show).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat

from ._systemd import UnitState

RECORDS = "/run/taskqueue-stack"
# The kernel stamps files with the time of its last tick, up to 10 ms ago.
_CLOCK_TICK = 0.05


class WatchError(Exception):
    """A path that cannot be watched."""


class Watched:
    """The files that processes depend on, as they are now."""

    def __init__(self, paths: list[str]) -> None:
        self.changed = 0.0
        self._states = [[path, self._look_at(path)] for path in sorted(set(paths))]

    def _look_at(self, path: str) -> str | None:
        try:
            status = os.lstat(path)
            self.changed = max(self.changed, status.st_ctime)
            if stat.S_ISLNK(status.st_mode):
                return "-> " + os.readlink(path)
            if not stat.S_ISREG(status.st_mode):
                raise WatchError(f"watch: {path} is neither a file nor a symbolic link")
            with open(path, "rb") as handle:
                return hashlib.sha256(handle.read()).hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def digest(self, content: str) -> str:
        """What a unit with this content is started with."""
        return hashlib.sha256(json.dumps([content, self._states]).encode()).hexdigest()


def _path(unit: str) -> str:
    return os.path.join(RECORDS, f"{unit}.json")


def read_record(unit: str) -> dict:
    """What a unit was last started with, as far as it is known."""
    try:
        with open(_path(unit), encoding="utf-8") as handle:
            return dict(json.load(handle))
    except (OSError, ValueError, TypeError):
        return {}


def write_record(unit: str, invocation: str, digest: str) -> None:
    record = {"invocation": invocation, "digest": digest}
    if record == read_record(unit):
        return
    os.makedirs(RECORDS, mode=0o700, exist_ok=True)
    partial = _path(unit) + ".partial"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        json.dump(record, handle)
    os.replace(partial, _path(unit))


def remove_record(unit: str) -> None:
    if os.path.exists(_path(unit)):
        os.unlink(_path(unit))


def is_up_to_date(state: UnitState, record: dict, digest: str, changed: float) -> bool:
    """Whether an active unit runs what the digest stands for; `changed` is when the last of the files behind it changed."""
    if record.get("invocation") == state.invocation:
        return record.get("digest") == digest
    return not state.needs_reload and changed + _CLOCK_TICK < state.started
