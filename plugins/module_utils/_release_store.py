# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases on a host: `releases/<id>`, the links `current` and `previous`, and a marker that tells whole from half.

A virtual environment cannot be moved, so it is built where it stays. Only the marker, written last, makes it a release.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator

MARKER = "release.json"
# Anything else in the directory (lost+found on a file system of its own) is not ours to remove.
_RELEASE_NAME = re.compile(r"[0-9a-f]{16}")


class ReleaseError(Exception):
    """Something a person has to put right; the message says what and how."""


def release_id(inputs: dict) -> str:
    """The name of a release: a digest of everything that goes in."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _used_by_processes(names: set[str]) -> set[str]:
    """The releases that running programs have open: a worker on its way out still imports from the old one."""
    used: set[str] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for view in ("maps", "cmdline"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/{view}", encoding="utf-8", errors="replace") as handle:
                content = handle.read()
                used |= {name for name in names - used if f"/releases/{name}/" in content}
    return used


class ReleaseStore:
    """The directory that holds the releases of one host."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.releases = os.path.join(root, "releases")
        self.tools = os.path.join(root, "tools")

    def path(self, release: str) -> str:
        return os.path.join(self.releases, release)

    def marker(self, release: str | None) -> dict | None:
        """What went into a release, or None when it is missing or was never finished."""
        try:
            with open(os.path.join(self.path(release or "-"), MARKER), encoding="utf-8") as handle:
                return json.load(handle)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def whole(self) -> list[str]:
        """The finished releases."""
        return [name for name in self._names() if self.marker(name)]

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.releases) if _RELEASE_NAME.fullmatch(name))
        except FileNotFoundError:
            return []

    def complete(self, release: str, marker: dict) -> None:
        """Declare a release whole."""
        partial = os.path.join(self.path(release), f".{MARKER}")
        with open(partial, "w", encoding="utf-8") as handle:
            json.dump(marker, handle, indent=2, sort_keys=True)
            handle.flush()
            # After a power cut the marker must not be there without what it vouches for.
            os.sync()
        os.replace(partial, os.path.join(self.path(release), MARKER))

    def linked(self, link: str) -> str | None:
        """The release a link points to, whole or not."""
        try:
            return os.path.basename(os.readlink(os.path.join(self.root, link)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ReleaseError(f"{self.root}/{link} is not a symbolic link, so it is not ours: move it away ({error.strerror})") from error

    def _link(self, link: str, release: str) -> None:
        partial = os.path.join(self.root, f".{link}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        os.symlink(os.path.join("releases", release), partial)
        os.replace(partial, os.path.join(self.root, link))

    def switch(self, release: str) -> None:
        """Make a release the current one, in one step that nobody can see half of."""
        current = self.linked("current")
        if current and current != release:
            self._link("previous", current)
        self._link("current", release)

    @property
    def _proof(self) -> str:
        return os.path.join(self.root, ".proven")

    def proven_tasks(self, digest: str) -> list[str] | None:
        """The tasks that were found by the last proof if that was of exactly this, else None."""
        try:
            with open(self._proof, encoding="utf-8") as handle:
                return json.load(handle).get(digest)
        except (FileNotFoundError, ValueError, AttributeError):
            return None

    def record_proof(self, digest: str, tasks: list[str]) -> None:
        """Remember a proof, for root only: an environment with a weak password in it could be guessed from its digest."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._proof)
        with open(os.open(self._proof, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
            json.dump({digest: tasks}, handle)

    def prunable(self, keep: int, current: str) -> list[str]:
        """What to remove: half releases, and whole ones beyond `keep`, oldest first to go, none that is needed or in use."""
        names = self._names()
        wanted = [current]
        linked = self.linked("current")
        previous = self.linked("previous") if linked == current else linked
        built = {name: (self.marker(name) or {}).get("created", "") for name in names}
        newest_first = sorted((name for name in names if built[name]), key=lambda name: built[name], reverse=True)
        wanted += [name for name in [previous] if name in names]
        wanted += [name for name in newest_first if name not in wanted][: max(0, keep - len(wanted))]
        surplus = set(names) - set(wanted)
        return sorted(surplus - _used_by_processes(surplus)) if surplus else []

    def remove(self, release: str) -> None:
        # Without its marker first, a removal that is interrupted leaves a half release and not a broken whole one.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(os.path.join(self.path(release), MARKER))
        shutil.rmtree(self.path(release), ignore_errors=True)

    @contextlib.contextmanager
    def locked(self, deadline: float) -> Iterator[int]:
        """Only one build at a time: a run that lost its controller may still be building.

        Yields the descriptor that holds the lock. Programs that inherit it keep the lock for as long as they run.
        """
        os.makedirs(self.releases, mode=0o755, exist_ok=True)
        descriptor = os.open(os.path.join(self.root, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise ReleaseError(f"another run is still building a release in {self.root} ({self.root}/.lock is held)") from error
                    time.sleep(0.2)
            yield descriptor
        finally:
            os.close(descriptor)
