# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import getpass
import os
import sys
import time

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils._masking import Masker
from ansible_collections.taskqueue.stack.plugins.module_utils._release_commands import CommandFailed, Commands, tail
from ansible_collections.taskqueue.stack.plugins.module_utils._release_store import ReleaseError


@pytest.fixture
def commands() -> Commands:
    return Commands(30, Masker({"hunter2"}))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_is_returned_and_foreign_python_settings_are_kept_out(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    answer = commands.run(python("import os; print(os.environ.get('PYTHONPATH'), os.environ.get('PIP_TARGET'), os.environ['MINE'])"), "x", {"MINE": "1"})
    assert answer.split() == ["None", "None", "1"]


def test_failure_names_the_step_and_hides_secrets(commands: Commands) -> None:
    with pytest.raises(CommandFailed) as failure:
        commands.run(python("import sys; print('resolving'); sys.exit('no hunter2 at https://u:p@h/')"), "cannot install")
    assert str(failure.value) == "cannot install:\nresolving\nno ******** at https://********@h/"


def test_silent_failure_tells_the_exit_status(commands: Commands) -> None:
    with pytest.raises(CommandFailed, match="exit status 7"):
        commands.run(python("raise SystemExit(7)"), "x")


def test_programs_keep_the_lock_open(commands: Commands) -> None:
    reading, commands.lock = os.pipe()
    try:
        commands.run(python(f"import os; os.fstat({commands.lock})"), "x")
        with pytest.raises(CommandFailed):
            commands.run(python(f"import os; os.fstat({reading})"), "x")
    finally:
        os.close(reading)
        os.close(commands.lock)


def test_missing_program(commands: Commands) -> None:
    with pytest.raises(ReleaseError, match="cannot run /nonexistent"):
        commands.run(["/nonexistent"], "x")


def test_environment_that_no_process_can_have(commands: Commands) -> None:
    with pytest.raises(ReleaseError, match="null byte"):
        commands.run(["true"], "x", {"A": "\0"})


def test_time_limit_ends_the_whole_process_group(commands: Commands, tmp_path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import subprocess; p = subprocess.Popen(['sleep', '60']); open({str(pid_file)!r}, 'w').write(str(p.pid)); p.wait()"
    began = time.monotonic()
    with pytest.raises(ReleaseError, match="no end after 5 s"):
        commands.run(python(code), "x", limit=5)
    assert time.monotonic() - began < 30
    # A process that was killed lives on for the moment that a busy machine takes to end it.
    while runs(int(pid_file.read_text())) and time.monotonic() - began < 30:
        time.sleep(0.05)
    assert not runs(int(pid_file.read_text()))


def runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_deadline_covers_all_steps_together() -> None:
    commands = Commands(0, Masker(set()))
    with pytest.raises(ReleaseError, match=r"after 1 s \(timeout\)"):
        commands.run(["sleep", "60"], "x")


def test_other_user_gets_a_clean_environment(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_ROOT", "1")
    answer = commands.run_as(getpass.getuser(), python("import os; print(sorted(os.environ))"), "x", {"MINE": "1"}, 30)
    assert "SECRET_OF_ROOT" not in answer
    assert "'MINE'" in answer


def test_tail_keeps_the_end_and_shortens_long_lines() -> None:
    text = "\n".join(f"line {number}\n" for number in range(50)) + "\n" + "x" * 1000
    lines = tail(text).splitlines()
    assert lines[0] == "line 31"
    assert len(lines) == 20
    assert len(lines[-1]) < 420
