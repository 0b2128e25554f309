# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import read_env_file
from ansible_collections.taskqueue.stack.plugins.modules import celery_environment

AWKWARD = "@:/#%?& \"'\\$é`!;\t$(false)"


def run(path: Path, check: bool = False, **parameters: object) -> dict:
    """The module as Ansible runs it, in a process of its own."""
    arguments = {"path": str(path), "_ansible_check_mode": check, "_ansible_diff": True, **parameters}
    done = subprocess.run(
        [sys.executable, "-m", celery_environment.__name__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), capture_output=True, text=True, check=False,
        env={"PYTHONPATH": ":".join(sys.path), "LANG": "C.UTF-8"},
    )
    return json.loads(done.stdout)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "celery" / "celery.env"


def test_writes_a_file_that_a_shell_and_shlex_read_alike(path: Path) -> None:
    assert run(path, variables={"AWKWARD": AWKWARD, "EMPTY": "", "NUMBER": 5}, mode="0640")["changed"]
    assert read_env_file(str(path)) == {"AWKWARD": AWKWARD, "EMPTY": "", "NUMBER": "5"}
    assert f"AWKWARD={AWKWARD}" in shlex.split(path.read_text(encoding="utf-8"), comments=True)
    shell = subprocess.run(["sh", "-c", f'. {path}; printf %s "$AWKWARD"'], capture_output=True, text=True, check=True)
    assert shell.stdout == AWKWARD
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o755


def systemd_reads(line: str) -> str:
    """A value as systemd's src/basic/env-file.c reads it: where an unquoted character stands, quotes after it are plain characters."""
    value, rest = "", line.partition("=")[2]
    while rest[:1] in ("'", '"'):
        quoted, rest = rest[1:].split(rest[0], 1)
        value += quoted
    return value + rest.replace("\\", "")


def test_systemd_reads_an_apostrophe_as_one(path: Path) -> None:
    run(path, variables={"A": "it's 'so'"})
    assert systemd_reads(path.read_text(encoding="utf-8").splitlines()[-1]) == "it's 'so'"
    # What a shell and shlex would take, too.
    assert systemd_reads("A='it'\\''s'") != "it's"


def test_writes_structures_as_json(path: Path) -> None:
    run(path, variables={"CELERY_SETTINGS": {"worker_direct": True, "name": "it's"}})
    assert json.loads(read_env_file(str(path))["CELERY_SETTINGS"]) == {"worker_direct": True, "name": "it's"}


def test_a_second_run_changes_nothing(path: Path) -> None:
    run(path, variables={"A": "1"}, mode="0640")
    inode = path.stat().st_ino
    assert not run(path, variables={"A": "1"}, mode="0640")["changed"]
    assert path.stat().st_ino == inode


def test_a_wrong_mode_is_mended(path: Path) -> None:
    run(path, variables={"A": "1"}, mode="0640")
    path.chmod(0o644)
    assert run(path, variables={"A": "1"}, mode="0640")["changed"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_the_file_held_is_kept_for_the_same_readers(path: Path) -> None:
    assert "backup_file" not in run(path, variables={"NAME": "one"}, mode="0640", backup=True)
    first = path.read_text(encoding="utf-8")
    previous = Path(run(path, variables={"NAME": "two"}, mode="0640", backup=True)["backup_file"])
    assert "backup_file" not in run(path, variables={"NAME": "two"}, mode="0640", backup=True)
    assert (previous.name, previous.read_text(encoding="utf-8"), previous.stat().st_mode & 0o777) == ("celery.env.previous", first, 0o640)


def test_check_mode_tells_and_writes_nothing(path: Path) -> None:
    assert run(path, check=True, variables={"A": "1"}, mode="0640")["changed"]
    assert not path.parent.exists()


def test_the_difference_shows_what_changed_and_no_secret(path: Path) -> None:
    run(path, variables={"CELERY_BROKER_URL": "redis://:hunter22@old:6379/0", "API_KEY": "opensesame"})
    result = run(path, variables={"CELERY_BROKER_URL": "redis://:hunter23@new:6379/0", "API_KEY": "openbarley", "DEBUG": "1"})
    said = json.dumps(result)
    for secret in ("hunter22", "hunter23", "opensesame", "openbarley"):
        assert secret not in said
    assert "old:6379" in result["diff"]["before"]
    assert "new:6379" in result["diff"]["after"]
    assert "API_KEY='********' (another value)" in result["diff"]["after"]
    assert "DEBUG" in result["diff"]["after"]


def test_passwords_inside_settings_are_masked(path: Path) -> None:
    result = run(path, variables={"CELERY_SETTINGS": {"sentinel_kwargs": {"password": "hunter22"}, "worker_direct": True}})
    assert "hunter22" not in json.dumps(result)
    assert "worker_direct" in result["diff"]["after"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"MY-NAME": "x"}, ["MY-NAME", "letters, digits and underscores"]),
        ({"1ST": "x"}, ["1ST"]),
        ({"A": "one\ntwo"}, ["A", "line break"]),
        ({"A": "nul\0"}, ["A", "NUL"]),
    ],
)
def test_refuses_what_systemd_could_not_read(path: Path, variables: dict, words: list[str]) -> None:
    result = run(path, variables=variables)
    assert result["failed"]
    assert all(word in result["msg"] for word in words)
    assert not path.exists()


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = run(tmp_path / "file" / "celery.env", variables={"A": "1"})
    assert result["failed"]
    assert str(tmp_path / "file") in result["msg"]


def test_files_come_with_it(path: Path) -> None:
    source = path.parent.parent / "source.crt"
    source.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    files = [
        {"path": f"{path.parent}/tls/ca.crt", "src": str(source), "content": "", "mode": "0640"},
        {"path": f"{path.parent}/tls/client.key", "content": key, "src": ""},
    ]
    assert run(path, check=True, variables={"A": "1"}, files=files)["changed"]
    assert not path.parent.exists()
    result = run(path, variables={"A": "1"}, files=files)
    assert [side["after_header"] for side in result["diff"]] == [str(path), *(file["path"] for file in files)]
    assert "c2VjcmV0" not in json.dumps(result)
    assert (path.parent / "tls/ca.crt").read_text() == source.read_text()
    assert (path.parent / "tls/client.key").stat().st_mode & 0o777 == 0o600
    assert (path.parent / "tls").stat().st_mode & 0o777 == 0o750
    assert not run(path, variables={"A": "1"}, files=files)["changed"]
    (path.parent / "tls/client.key").chmod(0o644)
    assert run(path, variables={"A": "1"}, files=files)["changed"]
    assert (path.parent / "tls/client.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("content", "src"), [("", ""), ("text", "/etc/hostname")])
def test_a_file_has_one_source(path: Path, content: str, src: str) -> None:
    assert "of content and src" in run(path, variables={"A": "1"}, files=[{"path": "/x", "content": content, "src": src}])["msg"]
    assert "no such file" in run(path, variables={"A": "1"}, files=[{"path": "/x", "src": "/nowhere"}])["msg"]
