# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemctl and journalctl, for several units in each call."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

Run = Callable[[list[str]], tuple[int, str, str]]

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "MainPID",
    "InvocationID",
    "NeedDaemonReload",
    "UnitFileState",
    "NRestarts",
    "ExecMainStatus",
    "ExecMainStartTimestampMonotonic",
)


# systemd skips what it cannot read. A directive that only newer versions know may be skipped, a wrong value must not.
_BAD_VALUE = re.compile(r"Failed to parse|Invalid|Cannot parse|Bad value", re.IGNORECASE)
_UNKNOWN = re.compile(r"Unknown (key|lvalue)")


class SystemdError(Exception):
    """systemd refused something; the message says what."""


@dataclass(frozen=True)
class UnitState:
    """What systemd knows of a unit."""

    load: str
    active: str
    sub: str
    result: str
    pid: int
    invocation: str
    needs_reload: bool
    file_state: str
    restarts: int
    exit_status: str
    # Wall clock, so that it compares with times of files.
    started: float

    @property
    def is_active(self) -> bool:
        return self.active in ("active", "reloading", "refreshing")

    @property
    def is_running(self) -> bool:
        """Whether there is something to stop, a wait for the next restart included."""
        return self.active not in ("inactive", "failed")

    @classmethod
    def parse(cls, block: str) -> UnitState:
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        age = time.monotonic() - int(values.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
        return cls(
            load=values.get("LoadState", ""),
            active=values.get("ActiveState", ""),
            sub=values.get("SubState", ""),
            result=values.get("Result", ""),
            pid=int(values.get("MainPID") or 0),
            invocation=values.get("InvocationID", ""),
            needs_reload=values.get("NeedDaemonReload") == "yes",
            file_state=values.get("UnitFileState", ""),
            restarts=int(values.get("NRestarts") or 0),
            exit_status=values.get("ExecMainStatus", ""),
            started=time.time() - age,
        )


class Systemd:
    """The service manager of this host."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def systemctl(self, verb: str, units: list[str] | None = None) -> None:
        """Run a verb on all units at once, so that slow stops overlap. Does nothing for an empty list."""
        if units == []:
            return
        code, _output, errors = self._run(["systemctl", verb, *(units or [])])
        if code:
            raise SystemdError(f"systemctl {verb} {' '.join(units or [])}: {errors.strip() or f'exit status {code}'}")

    def show(self, units: list[str]) -> dict[str, UnitState]:
        """The state of each unit, known to systemd or not."""
        if not units:
            return {}
        code, output, errors = self._run(["systemctl", "show", "--property=" + ",".join(_PROPERTIES), *units])
        blocks = output.strip().split("\n\n")
        if code or len(blocks) != len(units):
            raise SystemdError(f"systemd does not answer on this host: {errors.strip() or output.strip()}")
        return dict(zip(units, map(UnitState.parse, blocks)))

    def journal(self, unit: str, since: float = 0, lines: int = 15) -> str:
        """The last lines a unit has written, since a time."""
        # With both, journalctl shows the first lines since then.
        limit = f"--since=@{int(since)}" if since else f"--lines={lines}"
        _code, output, _errors = self._run(["journalctl", "--quiet", "--no-pager", "--output=cat", limit, f"--unit={unit}"])
        return "\n".join(output.rstrip().splitlines()[-lines:])

    def verify(self, files: list[str]) -> tuple[str, list[str]]:
        """What systemd would object to in unit files, an empty text if nothing; and the lines it would pass over, not knowing them."""
        code, _output, errors = self._run(["systemd-analyze", "verify", "--man=no", *files])
        names = [path.rpartition("/")[2] for path in files]
        # Complaints about other units are not ours.
        said = [line for line in errors.splitlines() if any(name in line for name in names)]
        objections = [line for line in said if _BAD_VALUE.search(line) or (code and "ignoring" not in line)]
        return "\n".join(objections), [line for line in said if _UNKNOWN.search(line)]
