# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _kernel
from ansible_collections.taskqueue.stack.plugins.module_utils._kernel import Kernel, settings


class Machine:
    """A kernel's files, and those that are read at boot."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.overcommit, self.backlog, self.hugepages = (root / name for name in ("overcommit", "backlog", "hugepages"))
        self.sysctl, self.tmpfiles = root / "sysctl.conf", root / "tmpfiles.conf"
        self.read_only: set[str] = set()
        for name in ("overcommit", "backlog", "hugepages"):
            monkeypatch.setattr(_kernel, name.upper(), str(root / name))
        monkeypatch.setattr(_kernel, "SYSCTL_FILE", str(self.sysctl))
        monkeypatch.setattr(_kernel, "TMPFILES_FILE", str(self.tmpfiles))
        monkeypatch.setattr(os, "access", lambda path, _mode: path not in self.read_only)
        self.has("0", "4096", "[always] madvise never")

    def has(self, overcommit: str, backlog: str, hugepages: str) -> None:
        self.overcommit.write_text(f"{overcommit}\n")
        self.backlog.write_text(f"{backlog}\n")
        self.hugepages.write_text(f"{hugepages}\n")

    def plan(self, *wanted: bool, backlog: int = 511) -> Kernel:
        return Kernel(settings(*(wanted or (True, True, True)), backlog=backlog))

    def apply(self, kernel: Kernel) -> None:
        kernel.apply(os.replace)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_what_differs_is_set_now_and_for_the_next_boot(machine: Machine) -> None:
    kernel = machine.plan()
    assert kernel.changes == ["vm.overcommit_memory", "transparent_hugepage", str(machine.sysctl), str(machine.tmpfiles)]
    assert (str(machine.overcommit), "0\n", "1\n") in kernel.differences()
    assert machine.overcommit.read_text() == "0\n" and not machine.sysctl.exists()
    machine.apply(kernel)
    assert (machine.overcommit.read_text(), machine.hugepages.read_text()) == ("1", "madvise")
    assert machine.sysctl.read_text().endswith("\nvm.overcommit_memory = 1\n")
    assert machine.tmpfiles.read_text().endswith(f"\nw {machine.hugepages} - - - - madvise\n")
    assert machine.sysctl.stat().st_mode & 0o777 == 0o644
    machine.has("1", "4096", "always [madvise] never")
    assert machine.plan().changes == []


def test_what_is_set_only_until_the_next_boot_is_made_to_last(machine: Machine) -> None:
    machine.has("1", "4096", "always madvise [never]")
    assert machine.plan(True, True, False).changes == [str(machine.sysctl)]


def test_the_queue_of_connections_is_raised_and_never_lowered(machine: Machine) -> None:
    assert machine.plan(False, True, False).changes == []
    kernel = machine.plan(False, True, False, backlog=8192)
    assert kernel.changes == ["net.core.somaxconn", str(machine.sysctl)]
    machine.apply(kernel)
    assert machine.backlog.read_text() == "8192"
    assert machine.plan(False, True, False, backlog=8192).changes == []
    machine.has("0", "65535", "")
    assert machine.plan(False, True, False, backlog=8192).changes == []


def test_what_somebody_chose_stays(machine: Machine) -> None:
    machine.has("2", "128", "always madvise [never]")
    kernel = machine.plan()
    assert kernel.skipped.keys() == {"vm.overcommit_memory", "net.core.somaxconn"}
    assert "stays 2" in kernel.skipped["vm.overcommit_memory"] and "stays 128" in kernel.skipped["net.core.somaxconn"]
    assert kernel.changes == [str(machine.tmpfiles)]


def test_what_cannot_be_changed_is_said_and_left_out(machine: Machine) -> None:
    machine.read_only = {str(machine.overcommit), str(machine.hugepages)}
    kernel = machine.plan()
    assert kernel.skipped.keys() == {"vm.overcommit_memory", "transparent_hugepage"}
    assert "stays 0" in kernel.skipped["vm.overcommit_memory"] and "container" in kernel.skipped["vm.overcommit_memory"]
    assert kernel.changes == []
    machine.has("1", "4096", "always [madvise] never")
    assert not machine.plan().skipped


def test_a_kernel_without_huge_pages_is_no_error(machine: Machine) -> None:
    machine.hugepages.unlink()
    machine.read_only = {str(machine.hugepages)}
    assert machine.plan(False, False, True).changes == []


def test_what_is_no_longer_wanted_leaves_the_files(machine: Machine) -> None:
    machine.apply(machine.plan())
    kernel = machine.plan(False, False, False)
    assert kernel.changes == [str(machine.sysctl), str(machine.tmpfiles)]
    machine.apply(kernel)
    assert not machine.sysctl.exists() and not machine.tmpfiles.exists()
