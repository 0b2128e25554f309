# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One systemd unit: its state, its journal, and the few things a module does to it."""

from __future__ import annotations

import time
from typing import Protocol


class Runner(Protocol):
    """The part of AnsibleModule that is used here."""

    def run_command(self, args: list[str]) -> tuple[int, str, str]:
        """Run a program, and give its exit status, output and errors."""


class SystemdUnit:
    """A service by its name."""

    def __init__(self, runner: Runner, name: str) -> None:
        self._runner = runner
        self.name = name
        self._since = time.time()

    def state(self) -> dict[str, str]:
        """LoadState, ActiveState, SubState, UnitFileState, MainPID and NRestarts; empty where systemd does not run."""
        names = "LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts"
        code, output, _errors = self._runner.run_command(["systemctl", "show", self.name, f"--property={names}"])
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line) if code == 0 else {}

    def main_pid(self) -> int:
        """The process that is the service; 0 when it does not run."""
        return int(self.state().get("MainPID") or 0)

    def restart(self) -> bool:
        """Start it, or stop and start it. True when systemd says that it came up."""
        self._since = time.time()
        # Earlier failures count towards StartLimitBurst, and would turn this start down unheard.
        self._runner.run_command(["systemctl", "reset-failed", self.name])
        return self._runner.run_command(["systemctl", "restart", self.name])[0] == 0

    def gave_up(self) -> bool:
        """Whether the process that was started last has ended, be it that systemd tries again by itself."""
        state = self.state()
        return state.get("ActiveState") in ("failed", "inactive") or state.get("NRestarts", "0") != "0"

    def stop(self) -> None:
        """Stop it, and forget its failures."""
        self._runner.run_command(["systemctl", "stop", self.name])
        self._runner.run_command(["systemctl", "reset-failed", self.name])

    def enable(self, wanted: bool) -> str:
        """Start it at boot from now on, or no longer. What systemctl had against it; empty when nothing."""
        code, _output, errors = self._runner.run_command(["systemctl", "enable" if wanted else "disable", self.name])
        return errors.strip() if code else ""

    def journal(self) -> str:
        """What it said since it was last started from here."""
        since = f"--since=@{self._since:.0f}"
        return self._runner.run_command(["journalctl", f"--unit={self.name}", since, "--output=cat", "--no-pager", "--quiet"])[1]
