# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _smoke_test_process
from ansible_collections.taskqueue.stack.plugins.module_utils._smoke_test_process import SmokeTestProcess

PARAMS = {"workers": ["a@h"], "count": 1, "timeout": 1}


@pytest.fixture
def python(tmp_path: Path):
    """An interpreter that does something else."""

    def write(script: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return write


def run(interpreter: str, check: bool = False, **params: object) -> dict:
    with SmokeTestProcess(interpreter) as process:
        return process.run({**PARAMS, **params}, check)


def test_order_and_answer_go_there_and_back(tmp_path: Path) -> None:
    missing = str(tmp_path / "celery.env")
    result = run(sys.executable, env_file=missing)
    assert (result["failed"], result["reason"], result["tasks"]) == (True, "env_file_missing", [])
    assert missing in result["msg"]
    result = run(sys.executable, check=True, env_file=missing)
    assert (result["skipped"], result.get("failed")) == (True, None)


def test_celery_is_neither_an_applications_nor_told_otherwise_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "celery.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    (tmp_path / "celery.env").write_text("CELERY_BROKER_URL='redis://127.0.0.1:1/0'\nCELERY_RESULT_BACKEND='redis://127.0.0.1:1/0'\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere:2/0")
    result = run(sys.executable, env_file=str(tmp_path / "celery.env"))
    assert result["reason"] == "broker_unreachable"
    assert "redis://127.0.0.1:1" in result["msg"]


def test_parameters_are_in_no_command_line(python, tmp_path: Path) -> None:
    run(python(f'echo "$@" >{tmp_path}/arguments; env >>{tmp_path}/arguments; cat >{tmp_path}/order'), env_file="/srv/of-this-test.env")
    assert "/srv/of-this-test.env" in (tmp_path / "order").read_text()
    assert "/srv/of-this-test.env" not in (tmp_path / "arguments").read_text()


def test_interpreter_that_is_not_there(tmp_path: Path) -> None:
    result = run(str(tmp_path / "python"))
    assert (result["failed"], result["reason"]) == (True, "python_missing")
    assert f"{tmp_path}/python does not start: No such file" in result["msg"]


def test_process_that_dies_says_why(python) -> None:
    result = run(python("cat >/dev/null; echo 'no module named celery' >&2; exit 3"))
    assert (result["failed"], result["reason"]) == (True, "celery_missing")
    assert "exit status 3" in result["msg"] and "no module named celery" in result["msg"]


def test_process_that_dies_before_it_is_asked(python) -> None:
    with SmokeTestProcess(python("exit 4")) as process:
        time.sleep(0.2)
        assert "exit status 4" in process.run(PARAMS, False)["msg"]


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_process_that_hangs_is_ended(python, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_smoke_test_process, "_MARGIN", 0.2)
    result = run(python(f"echo $$ >{tmp_path}/pid; exec sleep 60"), timeout=0.1)
    assert "did not end within 0.3 s" in result["msg"]
    assert not is_there(int((tmp_path / "pid").read_text()))


def test_process_that_is_not_needed_is_ended(python, tmp_path: Path) -> None:
    with pytest.raises(SystemExit), SmokeTestProcess(python(f"echo $$ >{tmp_path}/pid; exec sleep 60")):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        raise SystemExit(1)
    assert not is_there(int((tmp_path / "pid").read_text()))


def test_process_ends_with_the_module() -> None:
    """As when the module is killed: nobody is left to end it."""
    with SmokeTestProcess(sys.executable) as process:
        process._process.stdin.close()
        assert process._process.wait(timeout=30) == 0
        process._process.stdin = None
