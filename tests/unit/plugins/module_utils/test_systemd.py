# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils._systemd import Systemd, SystemdError, UnitState

SHOWN = """LoadState=loaded
ActiveState=active
SubState=running
Result=success
MainPID=42
InvocationID=abc
NeedDaemonReload=yes
UnitFileState=enabled
NRestarts=3
ExecMainStatus=0
ExecMainStartTimestampMonotonic={started}
"""


class FakeRun:
    def __init__(self, code: int = 0, output: str = "", errors: str = "") -> None:
        self.answer = (code, output, errors)
        self.calls: list[list[str]] = []

    def __call__(self, argv: list[str]) -> tuple[int, str, str]:
        self.calls.append(argv)
        return self.answer


def test_state_is_read_and_its_start_is_on_the_clock_of_files() -> None:
    ten_seconds_ago = int((time.monotonic() - 10) * 1e6)
    state = UnitState.parse(SHOWN.format(started=ten_seconds_ago))
    assert (state.active, state.pid, state.invocation, state.needs_reload, state.restarts) == ("active", 42, "abc", True, 3)
    assert state.started == pytest.approx(time.time() - 10, abs=1)


@pytest.mark.parametrize(
    ("active", "is_active", "is_running"),
    [("active", True, True), ("reloading", True, True), ("activating", False, True), ("inactive", False, False), ("failed", False, False)],
)
def test_what_counts_as_active(active: str, is_active: bool, is_running: bool) -> None:
    state = UnitState.parse(f"ActiveState={active}")
    assert (state.is_active, state.is_running) == (is_active, is_running)


def test_one_call_for_all_units() -> None:
    run = FakeRun(output="ActiveState=active\n\nActiveState=failed\n")
    states = Systemd(run).show(["a.service", "b.service"])
    assert [state.active for state in states.values()] == ["active", "failed"]
    assert len(run.calls) == 1


def test_nothing_is_run_for_no_units() -> None:
    run = FakeRun()
    Systemd(run).systemctl("restart", [])
    assert Systemd(run).show([]) == {}
    assert not run.calls


def test_refusals_carry_the_words_of_systemd() -> None:
    with pytest.raises(SystemdError, match="systemctl restart a.service: Access denied"):
        Systemd(FakeRun(1, errors="Access denied\n")).systemctl("restart", ["a.service"])
    with pytest.raises(SystemdError, match="does not answer on this host: System has not been booted"):
        Systemd(FakeRun(1, errors="System has not been booted with systemd")).show(["a.service"])


@pytest.mark.parametrize(
    ("code", "said", "objections"),
    [
        (0, "/t/a.service:5: Unknown key name 'New' in section 'Service', ignoring.", ""),
        (1, "/t/a.service:5: Unknown key name 'New' in section 'Service', ignoring.", ""),
        (0, "/t/a.service:9: Invalid memory limit 'abc', ignoring: Invalid argument", "/t/a.service:9: Invalid memory limit 'abc', ignoring: Invalid argument"),
        (1, "a.service: Command /x is not executable: No such file", "a.service: Command /x is not executable: No such file"),
        (1, "other.service: Command /x is not executable", ""),
        (0, "", ""),
    ],
)
def test_verification_objects_to_what_would_not_work(code: int, said: str, objections: str) -> None:
    assert Systemd(FakeRun(code, errors=said)).verify(["/t/a.service"])[0] == objections


def test_verification_names_what_systemd_passes_over() -> None:
    lines = ["/t/a.service:5: Unknown key name 'MemoryMx' in section 'Service', ignoring.", "/t/a.service:6: Unknown lvalue 'New' in section"]
    assert Systemd(FakeRun(0, errors="\n".join([*lines, "b.service:1: Unknown key name"]))).verify(["/t/a.service"]) == ("", lines)


def test_journal_ends_with_what_came_last() -> None:
    run = FakeRun(output="one\ntwo\nthree\n")
    assert Systemd(run).journal("a.service", 1700000000.5, lines=2) == "two\nthree"
    # journalctl would show the first lines since then, given a number as well.
    assert "--since=@1700000000" in run.calls[0] and not any(word.startswith("--lines") for word in run.calls[0])
    assert Systemd(run).journal("a.service", lines=2) == "two\nthree"
    assert "--lines=2" in run.calls[1]
