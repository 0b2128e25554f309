# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils._source_tree import (
    file_digest,
    has_python,
    is_project,
    pack_tree,
    tree_files,
    unpack_tree,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    (root / "shop" / "__pycache__").mkdir(parents=True)
    (root / "shop" / "tasks.py").write_text("x = 1\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o700)
    (root / "shop" / "__pycache__" / "tasks.pyc").write_bytes(b"1")
    (root / "old.pyc").write_bytes(b"1")
    for skipped in (".git", ".venv", "my-env", "node_modules"):
        (root / skipped).mkdir()
        (root / skipped / "inside.py").write_text("")
    for env in (".venv", "my-env"):
        (root / env / "pyvenv.cfg").write_text("")
    return root


def test_only_what_belongs_to_the_application_counts(tree: Path) -> None:
    assert [relative for relative, path in tree_files(str(tree))] == ["run.sh", "shop/tasks.py"]


def test_digest_follows_content_names_and_executable_bit_only(tree: Path) -> None:
    before = pack_tree(str(tree))
    os.utime(tree / "run.sh", (1, 1))
    (tree / "run.sh").chmod(0o755)
    (tree / "shop" / "__pycache__" / "more.pyc").write_bytes(b"2")
    assert pack_tree(str(tree)) == before
    (tree / "run.sh").chmod(0o644)
    without_bit = pack_tree(str(tree))
    (tree / "run.sh").rename(tree / "go.sh")
    renamed = pack_tree(str(tree))
    (tree / "shop" / "tasks.py").write_text("x = 2\n")
    assert len({before, without_bit, renamed, pack_tree(str(tree))}) == 4


def test_a_name_cannot_be_taken_for_content(tmp_path: Path) -> None:
    for name, files in (("one", {"a": "bc"}), ("two", {"ab": "c"})):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(content)
    assert pack_tree(str(tmp_path / "one")) != pack_tree(str(tmp_path / "two"))


def test_packing_gives_the_same_digest_and_unpacking_the_same_files(tree: Path, tmp_path: Path) -> None:
    archive = str(tmp_path / "a.tar.gz")
    assert pack_tree(str(tree), archive) == pack_tree(str(tree))
    unpack_tree(archive, str(tmp_path / "out"))
    assert pack_tree(str(tmp_path / "out")) == pack_tree(str(tree))
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "shop" / "tasks.py").stat().st_mode & 0o777 == 0o644


def test_links_are_followed_and_loops_are_not(tree: Path) -> None:
    (tree / "loop").symlink_to(tree)
    (tree / "again").symlink_to(tree / "shop")
    (tree / "gone").symlink_to("/nonexistent")
    assert [relative for relative, path in tree_files(str(tree))] == ["again/tasks.py", "run.sh", "shop/tasks.py"]


def test_unpacking_stays_below_the_target(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside"))
    with pytest.raises(ValueError, match="outside"):
        unpack_tree(str(tmp_path / "bad.tar.gz"), str(tmp_path / "out"))
    assert not (tmp_path / "outside").exists()


def test_file_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(str(tmp_path / "f")).startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize(
    ("name", "content", "project"),
    [
        ("setup.py", "", True),
        ("pyproject.toml", "[project]\nname = 'x'\n", True),
        ("pyproject.toml", "[build-system] # how\nrequires = []\n", True),
        ("pyproject.toml", "[tool.ruff]\nline-length = 99\n", False),
        ("tasks.py", "", False),
    ],
)
def test_a_project_is_what_pip_can_build(tmp_path: Path, name: str, content: str, project: bool) -> None:
    (tmp_path / name).write_text(content)
    assert is_project(str(tmp_path)) is project


def test_has_python_looks_below(tree: Path, tmp_path: Path) -> None:
    assert has_python(str(tree))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme").write_text("")
    assert not has_python(str(tmp_path / "docs"))
