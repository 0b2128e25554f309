# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Redis asks of the kernel: now, and after a restart of the machine.

A value that somebody chose with intent stays, and a host that does not let its kernel be changed keeps what it has. Both are said.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field

# Read when the machine starts, by systemd-sysctl and systemd-tmpfiles.
SYSCTL_FILE = "/etc/sysctl.d/60-taskqueue-redis.conf"
TMPFILES_FILE = "/etc/tmpfiles.d/taskqueue-redis.conf"
OVERCOMMIT = "/proc/sys/vm/overcommit_memory"
BACKLOG = "/proc/sys/net/core/somaxconn"
HUGEPAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
_MARKER = "# Managed by taskqueue.stack: change the inventory, not this file.\n"
# The kernel's own somaxconn since 5.4. A line in a file must not lower it.
_USUAL_BACKLOG = 4096


@dataclass(frozen=True)
class Setting:
    """One value of the kernel."""

    name: str
    path: str
    value: str
    file: str
    line: str
    is_fine: Callable[[str], bool]
    # Values that somebody must have chosen, and what the present one stands for then.
    chosen: Callable[[str], str] = lambda _present: ""


def settings(overcommit: bool, somaxconn: bool, hugepages: bool, backlog: int) -> list[Setting]:
    """The wanted ones, for a server with this tcp-backlog."""
    found = []
    if overcommit:
        found.append(
            Setting(
                "vm.overcommit_memory", OVERCOMMIT, "1", SYSCTL_FILE, "vm.overcommit_memory = 1\n", "1".__eq__,
                lambda present: "2, which forbids to promise more memory than there is" if present == "2" else "",
            )
        )  # fmt: skip
    if somaxconn:
        found.append(
            Setting(
                "net.core.somaxconn", BACKLOG, str(backlog), SYSCTL_FILE,
                f"net.core.somaxconn = {backlog}\n" if backlog > _USUAL_BACKLOG else "",
                lambda present: int(present) >= backlog,
                lambda present: f"{present}, less than the kernel's own {_USUAL_BACKLOG}" if backlog <= _USUAL_BACKLOG else "",
            )
        )  # fmt: skip
    if hugepages:
        found.append(
            Setting(
                "transparent_hugepage", HUGEPAGES, "madvise", TMPFILES_FILE, f"w {HUGEPAGES} - - - - madvise\n",
                lambda present: "[always]" not in present,
            )
        )  # fmt: skip
    return found


@dataclass
class Kernel:
    """Compares the kernel and the files with what is wanted, and makes them so."""

    wanted: list[Setting]
    # Why each of these stays as it is.
    skipped: dict[str, str] = field(default_factory=dict)
    # (path, before, after) of files, (name, before, after) of values.
    files: list[tuple[str, str, str]] = field(default_factory=list)
    values: list[tuple[Setting, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        lines = {SYSCTL_FILE: "", TMPFILES_FILE: ""}
        for setting in self.wanted:
            present = _read(setting.path).strip()
            fine = bool(present) and setting.is_fine(present)
            if not os.access(setting.path, os.W_OK):
                if not fine:
                    self.skipped[setting.name] = (
                        f"stays {present or 'unset'}, as this host does not let it be changed: a container has its machine's kernel"
                    )
                continue
            if not fine and setting.chosen(present):
                self.skipped[setting.name] = f"stays {setting.chosen(present)}: somebody chose that"
                continue
            lines[setting.file] += setting.line
            if not fine:
                self.values.append((setting, present))
        for path, text in lines.items():
            before, after = _read(path), _MARKER + text if text else ""
            if before != after:
                self.files.append((path, before, after))

    @property
    def changes(self) -> list[str]:
        """The names of values and files that are to change."""
        return [setting.name for setting, _present in self.values] + [path for path, _before, _after in self.files]

    def differences(self) -> list[tuple[str, str, str]]:
        """What changes, as (where, before, after)."""
        return self.files + [(setting.path, f"{present}\n", f"{setting.value}\n") for setting, present in self.values]

    def apply(self, move: Callable[[str, str], None]) -> None:
        """The files first, so that a run that is cut off in between is taken up by the next one."""
        for path, _before, after in self.files:
            if not after:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                continue
            partial = f"{path}.partial"
            with open(partial, "w", encoding="utf-8") as stream:
                stream.write(after)
            move(partial, path)
            os.chmod(path, 0o644)
        for setting, _present in self.values:
            with open(setting.path, "w", encoding="ascii") as stream:
                stream.write(setting.value)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""
