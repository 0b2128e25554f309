# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source directory as both sides see it: what belongs to it, its digest, and how it travels.

The controller digests and packs it, the host unpacks it. The digest covers relative paths, contents and the executable
bit, and nothing that differs between two checkouts of the same files.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator

SKIPPED_NAMES = {".git", ".hg", ".svn", ".tox", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__", "node_modules"}
SKIPPED_SUFFIXES = (".pyc", ".pyo")


def _is_skipped(entry: os.DirEntry) -> bool:
    is_venv = os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))
    return entry.name in SKIPPED_NAMES or entry.name.endswith(SKIPPED_SUFFIXES) or is_venv


def tree_files(root: str, _above: tuple[str, ...] = (), _prefix: str = "") -> Iterator[tuple[str, str]]:
    """(relative path, path) of every file, sorted. Links are followed, except into a directory they are already in."""
    above = (*_above, os.path.realpath(root))
    with os.scandir(root) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if _is_skipped(entry):
            continue
        relative = _prefix + entry.name
        if entry.is_file():
            yield relative, entry.path
        elif entry.is_dir() and os.path.realpath(entry.path) not in above:
            yield from tree_files(entry.path, above, relative + "/")


def file_digest(path: str) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def pack_tree(root: str, archive: str | None = None) -> str:
    """The digest of a tree; with `archive`, the same files are also written there as a tar.gz, each read only once."""
    digest = hashlib.sha256()
    tar = tarfile.open(archive, "w:gz", compresslevel=6) if archive else None
    try:
        for relative, path in tree_files(root):
            mode = 0o755 if os.stat(path).st_mode & 0o100 else 0o644
            with open(path, "rb") as handle:
                content = handle.read()
            name = relative.encode("utf-8", "surrogateescape")
            digest.update(b"%d %o %d " % (len(name), mode, len(content)) + name + content)
            if tar:
                member = tarfile.TarInfo(relative)
                member.size, member.mode = len(content), mode
                tar.addfile(member, io.BytesIO(content))
    finally:
        if tar:
            tar.close()
    return digest.hexdigest()


def unpack_tree(archive: str, target: str) -> None:
    """Write out what `pack_tree` packed. Modes are set and not left to the umask: another user reads these files."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            source = tar.extractfile(member)
            path = os.path.normpath(os.path.join(target, member.name))
            if source is None or not path.startswith(os.path.join(target, "")):
                raise ValueError(f"{archive} holds {member.name!r}, which is no plain file below the top")
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            with open(path, "wb") as handle:
                handle.write(source.read())
            os.chmod(path, member.mode)


def has_python(root: str) -> bool:
    """Whether a directory holds any Python module."""
    return any(relative.endswith(".py") for relative, path in tree_files(root))


def is_project(root: str) -> bool:
    """Whether pip can build a directory: a pyproject.toml that only configures linters does not make a package."""
    if os.path.isfile(os.path.join(root, "setup.py")):
        return True
    try:
        with open(os.path.join(root, "pyproject.toml"), encoding="utf-8", errors="replace") as handle:
            tables = {line.split("#")[0].strip() for line in handle}
    except FileNotFoundError:
        return False
    return not tables.isdisjoint({"[project]", "[build-system]"})
