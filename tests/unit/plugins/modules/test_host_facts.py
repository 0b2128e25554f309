# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible.module_utils import basic
from ansible_collections.taskqueue.stack.plugins.modules import host_facts


class Machine:
    """Stands in for AnsibleModule: answers commands from a table."""

    def __init__(self, answers: dict[str, tuple[int, str]]) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []

    def run_command(self, command: list[str], **_options: object) -> tuple[int, str, str]:
        self.asked.append(command)
        if command[0] not in self.answers:
            raise FileNotFoundError(command[0])
        code, output = self.answers[command[0]]
        return code, output, ""


@pytest.mark.parametrize(
    ("identity", "like", "version", "expected"),
    [
        ("ubuntu", "debian", "24.04", ("Debian", "Ubuntu", "24.04", "24")),
        ("debian", "", "12.11", ("Debian", "Debian", "12.11", "12")),
        ("rhel", "fedora", "9.6", ("RedHat", "RedHat", "9.6", "9")),
        ("rocky", "rhel centos fedora", "9.6", ("RedHat", "Rocky", "9.6", "9")),
        ("almalinux", "rhel centos fedora", "10.0", ("RedHat", "AlmaLinux", "10.0", "10")),
        # So distro calls what os-release(5) has as ol.
        ("oracle", "fedora", "9.5", ("RedHat", "OracleLinux", "9.5", "9")),
        ("sles", "suse", "15.6", ("Sles", "Sles", "15.6", "15")),
    ],
)
def test_the_system_in_the_words_of_setup(
    monkeypatch: pytest.MonkeyPatch, identity: str, like: str, version: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(host_facts.distro, "id", lambda: identity)
    monkeypatch.setattr(host_facts.distro, "like", lambda: like)
    monkeypatch.setattr(host_facts, "get_distribution", lambda: "Redhat" if identity == "rhel" else identity.capitalize())
    monkeypatch.setattr(host_facts, "get_distribution_version", lambda: version)
    assert tuple(host_facts.system().values()) == expected


@pytest.mark.parametrize(
    ("family", "program", "output", "expected"),
    [
        # dpkg-query tells of all there are. rpm says of an unknown name among the answers that it is unknown, and ends with an error.
        (
            "Debian", "dpkg-query", "= git git:amd64 installed\n= perl perl:amd64 installed\n= redis-server redis-server:amd64 unpacked\n",
            {"git:amd64": "installed", "redis-server": "unpacked"},
        ),
        (
            "RedHat", "rpm", "= git git.x86_64 git-2.47 git-2.47-1.el9 installed\npackage redis-server is not installed\n",
            {"git": "installed", "git-2.47": "installed"},
        ),
    ],
)
def test_states_of_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, family: str, program: str, output: str, expected: dict[str, str]) -> None:
    monkeypatch.setattr(host_facts, "JOURNAL", str(tmp_path))
    machine = Machine({program: (1, output)})
    names = [*expected, "redis-server", "-x"]
    assert host_facts.package_states(machine, family, names)[0] == expected
    # A name is no option.
    assert "-x" not in machine.asked[0] or machine.asked[0][-len(names) - 1:] == ["--", *names]


@pytest.mark.parametrize(
    ("state", "journal", "expected"),
    [
        ("installed", [], False),
        ("config-files", [], False),
        ("half-configured", [], True),
        ("unpacked", [], True),
        ("triggers-pending", [], True),
        ("installed", ["0001"], True),
    ],
)
def test_an_installation_that_was_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str, journal: list[str], expected: bool) -> None:
    for name in journal:
        (tmp_path / name).touch()
    monkeypatch.setattr(host_facts, "JOURNAL", str(tmp_path))
    # Of any package: apt does nothing before.
    machine = Machine({"dpkg-query": (0, f"= git git:amd64 installed\n= perl perl:amd64 {state}\n")})
    assert host_facts.package_states(machine, "Debian", ["git"]) == ({"git": "installed"}, expected)


def test_no_question_without_names() -> None:
    assert host_facts.package_states(Machine({}), "Debian", []) == ({}, False)


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, **arguments: object) -> dict:
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        host_facts.main()
    return json.loads(capsys.readouterr().out)


def test_a_system_that_no_role_knows_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(host_facts, "system", lambda: {"os_family": "Suse", "distribution": "SLES", "distribution_version": "15.6"})
    result = run(monkeypatch, capsys)
    assert result["failed"] and re.search("SLES 15.6, which taskqueue.stack does not know.*RHEL 9", result["msg"])


def test_a_version_is_that_of_a_program_that_starts() -> None:
    machine = Machine({"/bin/sh": (0, "Shell v=1.0\n"), "/bin/cat": (127, "cannot open shared object file\n")})
    assert host_facts.versions(machine, ["/bin/sh", "/bin/cat", "/nowhere/redis-server"]) == {"/bin/sh": "Shell v=1.0"}


def test_accounts_are_looked_for_where_the_machine_looks() -> None:
    assert host_facts.account_groups(["root", "nobody-of-that-name"]) == {"root": "root"}


def test_files_are_looked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    monkeypatch.setattr(host_facts, "system", lambda: {"os_family": "Debian"})
    (tmp_path / "redis.key").touch()
    assert run(monkeypatch, capsys, files=[f"{tmp_path}/redis.key", f"{tmp_path}/redis.crt"])["files"] == [f"{tmp_path}/redis.key"]


def test_names_are_looked_up_as_the_machine_does() -> None:
    assert host_facts.addresses(["127.0.1.1", "nobody.invalid"]) == {"127.0.1.1": "127.0.1.1"}
