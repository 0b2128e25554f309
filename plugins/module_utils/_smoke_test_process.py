# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A smoke test for modules that run in the host's own Python, which has no Celery: in a process of its own, in the Python that has it.

The process is started first of all and imports Celery while the module does its work, so that the test can begin as soon as it is
wanted. What to test comes by its standard input, what came of it goes to its standard output. Where the module ends without a word, the
input ends as well, and the process with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from ._masking import mask_urls

# Where the collection is imported from: the archive that Ansible made of the module.
_ROOT = str(Path(__file__).parents[5])
_CODE = f"import sys; sys.path.insert(0, sys.argv[1]); from {__name__} import main; main()"
# Seconds beyond the test's own time limit for what that does not cover: to import, to connect, and to find out why a task did not come back.
_MARGIN = 60.0


class SmokeTestProcess:
    """Used as a context, at whose end no process is left."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._process: subprocess.Popen | None = None
        self._refusal = ""

    def __enter__(self) -> SmokeTestProcess:
        # Celery would prefer CELERY_BROKER_URL to what it is told, and import what CELERY_CONFIG_MODULE names.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
        try:
            self._process = subprocess.Popen(
                # Isolated: nothing is imported from the working directory, where an application may keep a celery.py of its own.
                [self._python, "-I", "-c", _CODE, _ROOT], cwd="/", env=environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            self._refusal = error.strerror
        return self

    def __exit__(self, *unused: object) -> None:
        if self._process:
            self._process.kill()
            # Reads what is left, closes the pipes and waits for the end.
            self._process.communicate()

    def run(self, params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
        """What the module celery_smoke_test returns for these parameters, with "failed" where it fails. Possible once."""
        if not self._process:
            return failure(
                "python_missing", f"{self._python} does not start: {self._refusal}. Look at: has the role celery_app run on this host? "
                "Or name the interpreter that has Celery with python.")  # fmt: skip
        order = json.dumps({"params": params, "check_mode": check_mode}).encode()
        limit = params["timeout"] + _MARGIN
        try:
            output, errors = self._process.communicate(order, timeout=limit)
        except subprocess.TimeoutExpired:
            return failure("error", f"The smoke test did not end within {limit:g} s. Look at: is this host overloaded?")
        try:
            return json.loads(output)
        except ValueError:
            said = mask_urls(errors.decode(errors="replace").strip()[-2000:]) or "(nothing)"
            return failure(
                "celery_missing", f"The smoke test in {self._python} ended without a result (exit status {self._process.returncode}). "
                f"Look at: does that Python have Celery with Redis? It said: {said}")  # fmt: skip


def failure(reason: str, message: str) -> dict[str, t.Any]:
    return {"failed": True, "msg": message, "reason": reason, "tasks": []}


def main() -> None:
    """The process."""
    from ._smoke_test import carry_out
    from .celery_client import import_celery

    import_celery()
    order = sys.stdin.read()
    if order:
        json.dump(carry_out(**json.loads(order)), sys.stdout)
