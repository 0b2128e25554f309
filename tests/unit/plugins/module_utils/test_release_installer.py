# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _release_installer, _release_uv
from ansible_collections.taskqueue.stack.plugins.module_utils._release_commands import CommandFailed
from ansible_collections.taskqueue.stack.plugins.module_utils._release_installer import Index, Installer, NoPip
from ansible_collections.taskqueue.stack.plugins.module_utils._release_store import ReleaseError


class FakeCommands:
    """Knows of a pip wheel; fails for the programs it is told to fail for."""

    def __init__(self, fail: str = "", output: str = "", wheel: str = "/w/pip.whl") -> None:
        self.fail = fail
        self.output = output
        self.wheel = wheel
        self.calls: list[tuple[list[str], dict[str, str]]] = []

    def run(self, argv, failure, env=None):
        self.calls.append((argv, env or {}))
        line = " ".join(argv)
        if self.fail and self.fail in line:
            raise CommandFailed(f"{failure}:\n{self.output}", self.output)
        if "--target" in argv:
            os.makedirs(argv[argv.index("--target") + 1])
        if "--version" in argv:
            return "uv 0.13.9 (abc 2026-01-01)\n"
        return f"{self.wheel}\n" if "-c" in argv else ""

    def last(self) -> tuple[str, dict[str, str]]:
        argv, env = self.calls[-1]
        return " ".join(argv), env


@pytest.fixture(autouse=True)
def bare_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_installer, "_PIP_CONFIG", ())
    monkeypatch.setattr(_release_installer.shutil, "which", lambda name, path=None: None)
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(_release_uv, "fetch_uv", refuse)


def refuse(settings: dict[str, str], requirement: str, directory: str) -> None:
    raise ReleaseError("the index has no uv")


def give(settings: dict[str, str], requirement: str, directory: str) -> None:
    os.makedirs(directory)
    Path(directory, "uv").touch()


def installer(commands: FakeCommands, tmp_path: Path, choice: str = "auto", index: Index | None = None) -> Installer:
    return Installer(commands, "/usr/bin/python3.11", str(tmp_path), index or Index(), choice, "uv>=0.8,<1")


def test_uv_is_fetched_with_the_bundled_pip_and_used(tmp_path: Path) -> None:
    commands = FakeCommands()
    subject = installer(commands, tmp_path)
    subject.install("/venv/bin/python", ["--requirement", "r.txt"])
    fetch, env = next((" ".join(argv), env) for argv, env in commands.calls if "--target" in argv)
    assert fetch.endswith("uv>=0.8,<1")
    assert env["PYTHONPATH"] == "/w/pip.whl"
    line, env = commands.last()
    assert line.startswith(f"{tmp_path}/uv/bin/uv pip install")
    assert line.endswith("--python /venv/bin/python --requirement r.txt")
    assert env["UV_SYSTEM_CERTS"] == "true"
    assert env["UV_CACHE_DIR"] == f"{tmp_path}/cache/uv"
    assert subject.name == "uv 0.13.9"


def test_uv_needs_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_uv, "fetch_uv", give)
    commands = FakeCommands(wheel="")
    installer(commands, tmp_path).install("/venv/bin/python", [])
    assert (tmp_path / "uv/bin/uv").exists()
    assert not any("--target" in argv for argv, _env in commands.calls)
    assert commands.last()[0].startswith(f"{tmp_path}/uv/bin/uv pip install")


def test_a_uv_that_does_not_run_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_uv, "fetch_uv", give)
    commands = FakeCommands(fail="uv.partial/bin/uv --version", output="GLIBC_2.38 not found")
    installer(commands, tmp_path).install("/venv/bin/python", [])
    assert any("--target" in argv for argv, _env in commands.calls)
    assert not (tmp_path / "uv/bin/uv").exists()


def test_who_may_ask_no_index_is_left_to_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_uv, "fetch_uv", give)
    commands = FakeCommands()
    installer(commands, tmp_path, index=Index(no_index=True)).install("/venv/bin/python", [])
    assert any("--target" in argv for argv, _env in commands.calls)


def test_uv_of_the_host_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_installer.shutil, "which", lambda name, path=None: "/usr/local/bin/uv")
    commands = FakeCommands()
    installer(commands, tmp_path).install("/venv/bin/python", [])
    assert not any("--target" in argv for argv, env in commands.calls)
    assert commands.last()[0].startswith("/usr/local/bin/uv ")


def test_auto_falls_back_to_pip_and_says_why(tmp_path: Path) -> None:
    commands = FakeCommands(fail="--target", output="no route to host")
    subject = installer(commands, tmp_path)
    subject.install("/venv/bin/python", ["--requirement", "r.txt"])
    assert commands.last()[0].startswith("/venv/bin/python -m pip install")
    assert subject.name == "pip"
    assert "no route to host" in subject.no_uv


def test_uv_that_is_insisted_on_has_no_fallback(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="uv cannot be installed"):
        installer(FakeCommands(fail="--target"), tmp_path, "uv").install("/venv/bin/python", [])


def test_pip_on_request(tmp_path: Path) -> None:
    commands = FakeCommands()
    installer(commands, tmp_path, "pip").install("/venv/bin/python", [])
    assert not any("uv" in word for argv, env in commands.calls for word in argv if "python" not in word and "import" not in word)


@pytest.mark.parametrize(("choice", "reason"), [("pip", ""), ("uv", "the index has no uv"), ("auto", "the index has no uv")])
def test_interpreter_without_pip_names_the_package(tmp_path: Path, choice: str, reason: str) -> None:
    with pytest.raises(NoPip, match=f"{reason}.*python3-venv"):
        installer(FakeCommands(wheel=""), tmp_path, choice).install("/venv/bin/python", [])


@pytest.mark.parametrize("choice", ["uv", "pip"])
def test_index_settings_travel_in_the_environment_only(tmp_path: Path, choice: str) -> None:
    links = str(tmp_path)
    commands = FakeCommands()
    index = Index("https://u:pw@one/simple", ["https://u:pw@two/simple", "https://three/simple"], [links, "https://four/"], True)
    installer(commands, tmp_path, choice, index).install("/venv/bin/python", [])
    line, env = commands.last()
    assert not any("pw@" in word for argv, _env in commands.calls for word in argv)
    expected = {
        "uv": {
            "UV_DEFAULT_INDEX": "https://u:pw@one/simple",
            "UV_EXTRA_INDEX_URL": "https://u:pw@two/simple https://three/simple",
            "UV_FIND_LINKS": f"{links},https://four/",
        },
        "pip": {
            "PIP_INDEX_URL": "https://u:pw@one/simple",
            "PIP_EXTRA_INDEX_URL": "https://u:pw@two/simple https://three/simple",
            "PIP_FIND_LINKS": f"{links} https://four/",
            "PIP_NO_INDEX": "true",
        },
    }[choice]
    assert expected.items() <= env.items()
    # uv knows no variable for this.
    assert ("--no-index" in line) is (choice == "uv")


def test_uv_follows_the_configuration_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://mirror/simple\nextra-index-url = https://a/simple\n  https://b/simple\n"
        "cert = /etc/ca.pem\nfind_links = /nonexistent\n[install]\nno-index = no\n"
    )
    monkeypatch.setattr(_release_installer, "_PIP_CONFIG", (str(config),))
    monkeypatch.setenv("PIP_PROXY", "http://proxy:3128")
    assert Index().uv_environment() == {
        "UV_DEFAULT_INDEX": "https://mirror/simple",
        "UV_EXTRA_INDEX_URL": "https://a/simple https://b/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "ALL_PROXY": "http://proxy:3128",
    }
    assert Index("https://mine/simple", ["https://c/simple"]).uv_environment() == {
        "UV_DEFAULT_INDEX": "https://mine/simple",
        "UV_EXTRA_INDEX_URL": "https://c/simple",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "ALL_PROXY": "http://proxy:3128",
    }


@pytest.mark.parametrize(("value", "arguments"), [("true", ["--no-index"]), ("0", []), ("", [])])
def test_uv_asks_no_index_when_pip_must_not(monkeypatch: pytest.MonkeyPatch, value: str, arguments: list[str]) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", value)
    assert Index().uv_arguments() == arguments


def test_unreadable_pip_configuration_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("index-url = x\n")
    monkeypatch.setattr(_release_installer, "_PIP_CONFIG", (str(tmp_path / "pip.conf"),))
    with pytest.raises(ReleaseError, match="pip's configuration"):
        Index().uv_environment()


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("the current Python version (3.9.18) does not satisfy Python>=3.10", "choose another interpreter"),
        ("ERROR: Ignored the following versions: 5.7.0 Requires-Python >=3.10", "choose another interpreter"),
        ("error sending request for url: Connection refused", "does not answer"),
        ("HTTP status client error (401 Unauthorized)", "check the user and password"),
        ("mypkg was not found in the package registry", "where it should come from"),
    ],
)
def test_failures_come_with_a_remedy(tmp_path: Path, said: str, remedy: str) -> None:
    with pytest.raises(ReleaseError, match=remedy) as failure:
        installer(FakeCommands(fail="pip install", output=said), tmp_path, "pip").install("/venv/bin/python", [])
    assert said in str(failure.value)
