# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Application sources in git repositories, with the git of the host."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from ._release_commands import CommandFailed, Commands
from ._release_store import ReleaseError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FORM = "git+https://HOST/PATH, git+ssh://git@HOST/PATH or git+file:///PATH"
# git asks this helper for the login, so that it stands in no argument list. The first, empty one drops the host's own.
_HELPER = '!f() { echo "username=$TASKQUEUE_GIT_USER"; echo "password=$TASKQUEUE_GIT_PASSWORD"; }; f'


@dataclass(frozen=True)
class GitSource:
    """A repository, a reference in it and a directory below its top."""

    url: str
    reference: str
    subdirectory: str
    user: str
    password: str

    @classmethod
    def parse(cls, source: str, version: str | None) -> GitSource:
        """Take `git+URL[#subdirectory=PATH]` apart."""
        try:
            parts = urlsplit(source[len("git+") :])
        except ValueError as error:
            raise ReleaseError(f"source is no git URL ({error}): write it as {_FORM}") from error
        if parts.scheme not in ("https", "http", "ssh", "file", "git"):
            raise ReleaseError(f"source is no git URL: write it as {_FORM}")
        if "@" in parts.path:
            raise ReleaseError("source has a reference after '@': write it in source_version, and the URL without it")
        key, _equals, subdirectory = parts.fragment.partition("=")
        if parts.fragment and (key != "subdirectory" or os.path.isabs(subdirectory) or ".." in subdirectory.split("/")):
            raise ReleaseError("source has an unknown part after '#': only #subdirectory=PATH, a path below the top, is understood")
        if parts.scheme not in ("https", "http"):
            return cls(urlunsplit(parts._replace(fragment="")), version or "HEAD", subdirectory, "", "")
        login, _at, host = parts.netloc.rpartition("@")
        user, _colon, password = login.partition(":")
        url = urlunsplit(parts._replace(netloc=host, fragment=""))
        return cls(url, version or "HEAD", subdirectory, unquote(user), unquote(password))

    def _git(self, commands: Commands, arguments: list[str], failure: str) -> str:
        program = shutil.which("git")
        if not program:
            raise ReleaseError("source is a git URL, and git is not installed on this host: install the package git")
        env = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")}
        login = []
        if self.user:
            env.update(TASKQUEUE_GIT_USER=self.user, TASKQUEUE_GIT_PASSWORD=self.password)
            login = ["-c", "credential.helper=", "-c", f"credential.helper={_HELPER}"]
        return commands.run([program, *login, *arguments], failure, env)

    def commit(self, commands: Commands) -> str:
        """The commit that the reference names now. A full commit needs no question to the server."""
        if _COMMIT.fullmatch(self.reference):
            return self.reference
        answer = self._git(
            commands,
            ["ls-remote", "--", self.url, self.reference, f"{self.reference}^{{}}"],
            f"git cannot read {self.url}",
        )
        # ls-remote matches the end of a name, so "v1" also finds refs/heads/old/v1.
        found = {name: commit for commit, name in (line.split("\t") for line in answer.splitlines())}
        for name in (f"refs/tags/{self.reference}^{{}}", f"refs/tags/{self.reference}", f"refs/heads/{self.reference}", self.reference):
            if name in found:
                return found[name]
        raise ReleaseError(
            f"source_version: {self.url} has no branch or tag named {self.reference!r}"
            " (a commit must be written with all of its 40 digits)"
        )

    def checkout(self, commands: Commands, commit: str, target: str) -> str:
        """Bring a commit into `target`; the directory to install from."""
        failure = f"git cannot get {commit} of {self.url}"
        self._git(commands, ["clone", "--quiet", "--no-checkout", "--filter=blob:none", "--", self.url, target], failure)
        try:
            self._git(commands, ["-C", target, "checkout", "--quiet", "--detach", commit], failure)
        except CommandFailed:
            # Commits of merge requests are on no branch, so a clone does not bring them.
            self._git(commands, ["-C", target, "fetch", "--quiet", "origin", commit], failure)
            self._git(commands, ["-C", target, "checkout", "--quiet", "--detach", commit], failure)
        if os.path.exists(os.path.join(target, ".gitmodules")):
            self._git(commands, ["-C", target, "submodule", "--quiet", "update", "--init", "--recursive"], failure)
        top = os.path.join(target, self.subdirectory)
        if not os.path.isdir(top):
            raise ReleaseError(f"source: {self.url} has no directory {self.subdirectory!r} at {self.reference}")
        return top
