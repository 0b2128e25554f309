# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the programs that a release needs, within one time limit, and turns their failures into readable messages."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time

from ._masking import Masker
from ._release_store import ReleaseError

# What would make one interpreter or installer look into another's files.
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")


class CommandFailed(ReleaseError):
    """A program ended with an error."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class Commands:
    """Runs programs until a deadline."""

    def __init__(self, timeout: float, mask: Masker) -> None:
        self.deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._mask = mask
        # A program that outlives this process, because somebody killed it, keeps the lock through this descriptor.
        self.lock: int | None = None

    def run(
        self,
        argv: list[str],
        failure: str,
        env: dict[str, str] | None = None,
        cwd: str = "/",
        limit: float | None = None,
    ) -> str:
        """The program's standard output. `failure` begins the message when it cannot be run, takes too long or fails."""
        base = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        return self._communicate(argv, failure, {**base, "LC_ALL": "C.UTF-8", **(env or {})}, cwd, limit, {})

    def run_as(self, user: str, argv: list[str], failure: str, env: dict[str, str], limit: float) -> str:
        """The same, as another user and in an environment that holds nothing of ours."""
        account = pwd.getpwnam(user)
        identity = {}
        if account.pw_uid != os.geteuid():
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": os.getgrouplist(user, account.pw_gid)}
        base = {"PATH": os.defpath, "HOME": account.pw_dir, "USER": user, "LOGNAME": user, "LANG": "C.UTF-8"}
        return self._communicate(argv, failure, {**base, **env}, "/", limit, identity)

    def _communicate(self, argv: list[str], failure: str, env: dict[str, str], cwd: str, limit: float | None, identity: dict) -> str:
        remaining = max(1.0, self.deadline - time.monotonic())
        seconds = min(remaining, limit or remaining)
        try:
            process = subprocess.Popen(  # pylint: disable=consider-using-with
                argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                pass_fds=() if self.lock is None else (self.lock,),
                **identity,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            # Of an environment's python it is the interpreter behind the link that may be out of a user's reach.
            raise ReleaseError(f"{failure}: cannot run {argv[0]} ({os.path.realpath(argv[0])}): {error.args[-1]}") from error
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            which = "timeout" if seconds == remaining else "the limit for this step"
            raise ReleaseError(f"{failure}: no end after {seconds:.0f} s ({which})") from error
        if process.returncode:
            # pip explains a conflict on its standard output, and names it on the other.
            said = self._mask(f"{output}\n{errors}").strip() or f"exit status {process.returncode}"
            raise CommandFailed(f"{failure}:\n{tail(said)}", said)
        return output


def tail(text: str, lines: int = 20, width: int = 400) -> str:
    """The last words of a program, where resolvers put the reason. pip lists hundreds of versions in one line."""
    kept = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(line if len(line) <= width else f"{line[: width // 2]} ... {line[-width // 2 :]}" for line in kept)
