# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is told of a packaged service: a drop-in beside its unit, in force from the next start on.

Whether the running process was started with it is found out as for whole units: see _unit_records.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from ._systemd import Systemd, UnitState
from ._unit_records import Watched, is_up_to_date, read_record, write_record

DIRECTORY = "/etc/systemd/system"
# The last one in the alphabet wins. Red Hat's package of Redis has a limit.conf.
NAME = "taskqueue-stack.conf"


class DropIn:
    """The drop-in of one service; an empty text stands for none."""

    def __init__(self, service: str, content: str, systemd: Systemd, move: Callable[[str, str], None]) -> None:
        self._unit = service.removesuffix(".service")
        self._systemd, self._move = systemd, move
        self.path = os.path.join(DIRECTORY, f"{self._unit}.service.d", NAME)
        # Kept while the wanted one has not proven itself by a start. systemd reads names in .conf alone.
        self._last_good = f"{self.path}.last-good"
        self.installed = self._read(self.path) or ""
        self._present = self.installed
        self.wanted = f"{content.rstrip()}\n" if content.strip() else ""

    @property
    def differs(self) -> bool:
        """Whether the file is another one."""
        return self.installed != self.wanted

    def is_outdated(self, state: UnitState) -> bool:
        """Whether the running process was started with other settings."""
        if self.differs:
            changed = time.time()
        else:
            changed = os.stat(self.path).st_ctime if self.wanted else 0.0
        return not is_up_to_date(state, read_record(self._unit), Watched([]).digest(self.wanted), changed)

    @property
    def is_unproven(self) -> bool:
        """Whether the service has not started with it yet, and there is one before to come back to."""
        return os.path.exists(self._last_good)

    def install(self) -> None:
        """Writes it, and has systemd read it."""
        if self._read(self._last_good) is None:
            self._write(self._last_good, self.installed)
        self._put(self.wanted)

    def accept(self, state: UnitState) -> None:
        """The service runs with what is there now."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._last_good)
        write_record(self._unit, state.invocation, Watched([]).digest(self._present))

    def put_back(self) -> bool:
        """The one before, if there is one to come back to."""
        before = self._read(self._last_good)
        if before is None:
            return False
        self._put(before)
        os.unlink(self._last_good)
        return True

    def _put(self, content: str) -> None:
        if content:
            self._write(self.path, content)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self._present = content
        self._systemd.systemctl("daemon-reload")

    def _write(self, path: str, content: str) -> None:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            os.mkdir(directory)
            os.chmod(directory, 0o755)
        partial = f"{path}.partial"
        with open(partial, "w", encoding="utf-8") as stream:
            stream.write(content)
        self._move(partial, path)
        # Afterwards: a new file gets its mode from the move. Everybody may see what a unit consists of.
        os.chmod(path, 0o644)

    @staticmethod
    def _read(path: str) -> str | None:
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
