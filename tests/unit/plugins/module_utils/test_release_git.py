# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _release_git
from ansible_collections.taskqueue.stack.plugins.module_utils._release_git import GitSource
from ansible_collections.taskqueue.stack.plugins.module_utils._release_store import ReleaseError

TAG, PEELED, BRANCH, OTHER = (digit * 40 for digit in "1234")
REFS = f"{TAG}\trefs/tags/v1\n{PEELED}\trefs/tags/v1^{{}}\n{BRANCH}\trefs/heads/main\n{OTHER}\trefs/heads/old/v1\n{BRANCH}\tHEAD\n"


class FakeCommands:
    def __init__(self) -> None:
        self.calls: list[tuple[list[str], dict[str, str]]] = []

    def run(self, argv, failure, env=None):
        self.calls.append((argv, env))
        return REFS


@pytest.fixture(autouse=True)
def git_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_git.shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.mark.parametrize(
    ("version", "commit"),
    [(None, BRANCH), ("main", BRANCH), ("v1", PEELED), ("old/v1", OTHER), ("refs/heads/old/v1", OTHER), ("5" * 40, "5" * 40)],
)
def test_references_resolve_to_commits(version: str | None, commit: str) -> None:
    assert GitSource.parse("git+https://host/x.git", version).commit(FakeCommands()) == commit


def test_full_commit_asks_nobody() -> None:
    commands = FakeCommands()
    GitSource.parse("git+https://host/x.git", "5" * 40).commit(commands)
    assert not commands.calls


@pytest.mark.parametrize("version", ["nope", "1" * 7, "1"])
def test_unknown_reference_is_named(version: str) -> None:
    with pytest.raises(ReleaseError, match=f"no branch or tag named '{version}'"):
        GitSource.parse("git+https://host/x.git", version).commit(FakeCommands())


def test_login_reaches_git_by_environment_only() -> None:
    commands = FakeCommands()
    source = GitSource.parse("git+https://us%20er:p%40ss@host/x.git", None)
    source.commit(commands)
    argv, env = commands.calls[0]
    assert source.url == "https://host/x.git"
    assert "p@ss" not in " ".join(argv) and "p%40ss" not in " ".join(argv)
    assert (env["TASKQUEUE_GIT_USER"], env["TASKQUEUE_GIT_PASSWORD"]) == ("us er", "p@ss")
    assert env["GIT_TERMINAL_PROMPT"] == "0"


def test_ssh_keeps_its_account() -> None:
    assert GitSource.parse("git+ssh://git@host/x.git", None).url == "ssh://git@host/x.git"


def test_subdirectory() -> None:
    source = GitSource.parse("git+file:///srv/x.git#subdirectory=apps/shop", "v1")
    assert (source.url, source.subdirectory) == ("file:///srv/x.git", "apps/shop")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("git+https://host/x.git@v1", "source_version"),
        ("git+git@host:x.git", "git\\+ssh://"),
        ("git+https://[host/x.git", "no git URL"),
        ("git+ext::sh -c id", "no git URL"),
        ("git+https://host/x.git#egg=x", "subdirectory"),
        ("git+https://host/x.git#subdirectory=../x", "subdirectory"),
        ("git+https://host/x.git#subdirectory=/etc", "subdirectory"),
    ],
)
def test_bad_sources_are_refused_with_a_remedy(source: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        GitSource.parse(source, None)


def test_missing_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_git.shutil, "which", lambda name: None)
    with pytest.raises(ReleaseError, match="install the package git"):
        GitSource.parse("git+https://host/x.git", None).commit(FakeCommands())
