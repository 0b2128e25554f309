# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import getpass
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from ansible.module_utils import basic

from ansible_collections.taskqueue.stack.plugins.module_utils import _release_installer
from ansible_collections.taskqueue.stack.plugins.module_utils._source_tree import pack_tree
from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import read_env_file
from ansible_collections.taskqueue.stack.plugins.modules import celery_release

USER = getpass.getuser()
OPTIONS_OF_A_BUILD = {"import_check": ["shop:app"], "import_user": USER, "environment": {"DB_PASSWORD": "hunter2"}}


class Host:
    """Runs the module against a scratch root, with an application of plain modules, so that nothing has to be installed."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._tmp = tmp_path
        self.root = tmp_path / "celery"
        self.source = tmp_path / "shop"
        self.source.mkdir()
        self.write("app = 1\n")

    def write(self, code: str) -> None:
        (self.source / "shop.py").write_text(code)

    def current(self) -> str:
        return os.path.basename(os.readlink(self.root / "current"))

    def run(self, check: bool = False, diff: bool = False, send: bool = True, **options: object) -> dict:
        archive = str(self._tmp / "source.tar.gz")
        source = {"kind": "directory", "digest": pack_tree(str(self.source), archive)}
        arguments = {
            "root": str(self.root),
            "python": sys.executable,
            "source": "shop",
            "_source": {**source, "archive": archive} if send else source,
            "_ansible_check_mode": check,
            "_ansible_diff": diff,
            "_ansible_remote_tmp": str(self._tmp),
            **options,
        }
        self._monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        self._monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            celery_release.main()
        self.output = self._capsys.readouterr().out
        return json.loads(self.output)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Host:
    return Host(tmp_path, monkeypatch, capsys)


def test_build_then_nothing_to_do(host: Host) -> None:
    first = host.run(**OPTIONS_OF_A_BUILD)
    assert (first["changed"], first["built"], first["switched"], first["previous"]) == (True, True, True, None)
    assert first["path"] == str(host.root / "releases" / first["release"])
    assert host.current() == first["release"] == first["kept"][0]
    assert (host.root / "current" / "app" / "shop.py").read_text() == "app = 1\n"
    assert not (host.root / "current" / ".build").exists()
    second = host.run(send=False, **OPTIONS_OF_A_BUILD)
    assert (second["changed"], second["release"]) == (False, first["release"])
    assert "source_wanted" not in second


def test_built_beforehand_and_switched_to_later(host: Host) -> None:
    host.run()
    running = host.current()
    host.write("app = 2\n")
    built = host.run(switch=False, keep=1)
    assert (built["changed"], built["built"], built["switched"], built["removed"]) == (True, True, False, [])
    assert host.current() == running
    again = host.run(switch=False, send=False)
    assert (again["changed"], again["release"]) == (False, built["release"])
    switched = host.run(send=False)
    assert (switched["changed"], switched["built"], switched["switched"]) == (True, False, True)
    assert host.current() == built["release"]


def test_a_source_that_was_left_to_it_is_taken_away(host: Host, tmp_path: Path) -> None:
    for answer in ("built", "there already", "broken"):
        left = tmp_path / "left"
        left.mkdir()
        digest = pack_tree(str(host.source), str(left / "source.tar.gz"))
        source = {"kind": "directory", "digest": digest, "archive": str(left / "source.tar.gz"), "directory": str(left)}
        options = {"import_check": ["nowhere"], "import_user": USER} if answer == "broken" else {}
        assert host.run(_source=source, **options).get("failed", False) is (answer == "broken")
        assert not left.exists()


def test_the_celery_user_can_read_everything_whatever_the_umask(host: Host) -> None:
    before = os.umask(0o077)
    try:
        host.run(files={"helper.py": "x = 1\n"})
    finally:
        os.umask(before)
    for directory, _names, files in os.walk(host.root / "current" / "app"):
        for path in [directory, *(os.path.join(directory, name) for name in files)]:
            assert os.stat(path).st_mode & 0o004, path
    helper = next((host.root / "current").glob("lib/python3*/site-packages/helper.py"))
    assert helper.stat().st_mode & 0o777 == 0o644


def test_byte_code_is_there_from_the_start(host: Host) -> None:
    host.run()
    assert list((host.root / "current" / "app" / "__pycache__").glob("shop.*.pyc"))


def test_source_is_asked_for_only_when_it_is_needed(host: Host) -> None:
    assert host.run(send=False).get("source_wanted") is True
    assert not (host.root / "releases").exists()


def test_new_content_makes_a_new_release_and_old_content_the_old_one(host: Host) -> None:
    first = host.run()
    host.write("app = 2\n")
    second = host.run()
    assert second["previous"] == first["release"] != second["release"]
    host.write("app = 1\n")
    third = host.run(send=False)
    assert (third["changed"], third["built"], third["switched"], third["release"]) == (True, False, True, first["release"])
    assert host.current() == first["release"]


@pytest.mark.parametrize(
    "options",
    [{"constraints": ["redis<9"]}, {"files": {"helper.py": "x = 1\n"}}, {"requirements": ["six"]}],
)
def test_everything_that_goes_in_names_the_release(host: Host, options: dict) -> None:
    assert host.run(check=True)["release"] != host.run(check=True, **options)["release"]


@pytest.mark.parametrize(
    "options",
    [
        {"index_url": "https://mirror/simple"},
        {"keep": 5},
        {"installer": "pip"},
        {"requirements": ["six", "vine "]},
        {"requirements": ["vine", "six", "six"]},
    ],
)
def test_what_does_not_go_in_does_not(host: Host, options: dict) -> None:
    base = {"requirements": ["vine", "six"]}
    assert host.run(check=True, **base)["release"] == host.run(check=True, **{**base, **options})["release"]


def test_new_token_in_a_requirement_is_no_new_release(host: Host) -> None:
    one, two = (host.run(check=True, requirements=[f"x @ https://u:{token}@host/x.whl"])["release"] for token in ("token-one", "token-two"))
    assert one == two


def test_check_mode_predicts_and_touches_nothing(host: Host) -> None:
    predicted = host.run(check=True, send=False, import_check=["shop"], import_user="no-such-user")
    assert (predicted["changed"], predicted["built"], predicted["switched"]) == (True, True, True)
    assert not host.root.exists()
    built = host.run()
    assert built["release"] == predicted["release"]
    assert host.run(check=True, send=False)["changed"] is False


def test_check_mode_before_the_interpreter_exists(host: Host) -> None:
    predicted = host.run(check=True, python="/nonexistent/python3.11")
    assert (predicted["changed"], predicted["release"], predicted["path"]) == (True, None, None)


def test_diff_shows_what_goes_in(host: Host) -> None:
    first = host.run(diff=True)
    assert first["diff"]["before"] == ""
    assert first["release"] in first["diff"]["after"]
    host.write("app = 2\n")
    second = host.run(diff=True, check=True)
    assert first["release"] in second["diff"]["before"]
    assert second["release"] in second["diff"]["after"]
    assert host.run(diff=True)["diff"]["before"] != ""
    unchanged = host.run(diff=True)["diff"]
    assert unchanged["before"] == unchanged["after"]


def test_failed_proof_leaves_everything_as_it_was(host: Host) -> None:
    good = host.run(**OPTIONS_OF_A_BUILD)
    host.write("import os\nraise RuntimeError('refused: ' + os.environ['DB_PASSWORD'])\n")
    failed = host.run(**OPTIONS_OF_A_BUILD)
    assert failed["failed"] is True
    assert "RuntimeError: refused: ********" in failed["msg"]
    assert "hunter2" not in host.output
    assert host.current() == good["release"]
    assert os.listdir(host.root / "releases") == [good["release"]]


def test_a_rollback_is_one_call_and_needs_no_proof(host: Host) -> None:
    first = host.run()["release"]
    host.write("app = 2\n")
    second = host.run()["release"]
    predicted = host.run(check=True, release="previous", python=None, source=None, _source=None)
    assert (predicted["changed"], predicted["release"], host.current()) == (True, first, second)
    back = host.run(release="previous", python=None, source=None, _source=None)
    assert (back["changed"], back["built"], back["switched"], back["release"], back["previous"]) == (True, False, True, first, second)
    assert host.current() == first
    assert host.run(release=first)["changed"] is False


def test_going_back_to_what_is_not_there_says_what_is(host: Host) -> None:
    assert "no release previous on this host to go back to; there are: none" in host.run(release="previous")["msg"]
    there = host.run()["release"]
    assert f"no release {'0' * 16} on this host to go back to; there are: {there}" in host.run(release="0" * 16)["msg"]
    assert host.current() == there


def test_build_that_is_killed_leaves_nothing_that_counts(host: Host, tmp_path: Path) -> None:
    """The real thing: the process group dies in the middle of the build, and the next run builds it again."""
    good = host.run()["release"]
    host.write("import time\ntime.sleep(600)\n")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            host.run(**OPTIONS_OF_A_BUILD)
        os._exit(0)
    releases = host.root / "releases"
    deadline = time.monotonic() + 60
    while not any(releases.glob("*/bin/python")) or len(os.listdir(releases)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    half = next(name for name in os.listdir(releases) if name != good)
    assert host.current() == good
    # What the killed module had started holds the lock until it ends.
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if half.encode() in (directory / "cmdline").read_bytes():
                os.kill(int(directory.name), signal.SIGKILL)
    host.write("app = 3\n")
    again = host.run(**OPTIONS_OF_A_BUILD)
    assert (again["built"], again["removed"]) == (True, [half])
    assert sorted(again["kept"]) == sorted([good, again["release"]])


def test_new_environment_is_proven_on_the_release_that_is_there(host: Host) -> None:
    host.write("import os\napp = os.environ['NEEDED']\n")
    options = {"import_check": ["shop:app"], "import_user": USER}
    assert host.run(**options, environment={"NEEDED": "1"})["changed"] is True
    failed = host.run(**options, environment={})
    assert "KeyError: 'NEEDED'" in failed["msg"]
    assert host.run(**options, environment={"NEEDED": "1"})["changed"] is False


def test_the_environment_file_comes_with_the_release(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "celery.env"
    key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    file = {"path": str(path), "owner": USER, "backup": True, "files": [{"path": str(path.parent / "tls/client.key"), "content": key}]}
    first = {"environment": {"DB_PASSWORD": "hunter2", "CELERY_APP": "shop"}, "environment_file": file}
    assert host.run(check=True, diff=True, **first)["environment_file"] == {"path": str(path), "changed": True}
    assert not path.exists()
    # Somebody has yet to send the source; nothing is written before there is a release.
    assert host.run(send=False, **first)["source_wanted"]
    assert not path.exists()
    result = host.run(diff=True, **first)
    assert result["environment_file"] == {"path": str(path), "changed": True}
    assert [side["after_header"] for side in result["diff"]] == ["wanted release", str(path), str(path.parent / "tls/client.key")]
    assert [secret for secret in ("hunter2", "c2VjcmV0") if secret in host.output] == []
    assert read_env_file(str(path)) == first["environment"]
    settled = host.run(**first)
    assert (settled["changed"], settled["environment_file"]) == (False, {"path": str(path), "changed": False})

    # It belongs to what is current.
    assert "environment_file" not in host.run(switch=False, **first)

    # Alone, it is a change of the call, and of nothing else in it.
    second = {**first, "environment": {"DB_PASSWORD": "hunter3", "CELERY_APP": "shop"}}
    again = host.run(**second)
    assert (again["changed"], again["built"], again["switched"]) == (True, False, False)
    assert "hunter2" in Path(again["environment_file"]["backup_file"]).read_text()

    # A build that fails leaves it alone.
    host.write("raise RuntimeError\n")
    assert host.run(**{**first, "import_check": ["shop"], "import_user": USER})["failed"]
    assert read_env_file(str(path)) == second["environment"]


def test_an_environment_file_that_cannot_be_written_says_what_was_done_before(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = host.run(environment={"A": "1"}, environment_file={"path": str(tmp_path / "file/celery.env")})
    assert (result["failed"], result["switched"]) == (True, True)
    assert str(tmp_path / "file") in result["msg"]
    # The same where it is Ansible's own function that ends the module.
    host.write("app = 2\n")
    result = host.run(environment={"A": "1"}, environment_file={"path": str(tmp_path / "celery.env"), "owner": USER, "group": "no-such-group"})
    assert (result["failed"], result["switched"]) == (True, True)
    assert "no-such-group" in result["msg"]


def test_interrupted_build_is_built_again(host: Host) -> None:
    release = host.run(check=True)["release"]
    (host.root / "releases" / release / "lib").mkdir(parents=True)
    (host.root / "releases" / release / "remains").write_text("")
    assert host.run(check=True)["built"] is True
    assert host.run()["built"] is True
    assert not (host.root / "current" / "remains").exists()


def test_old_releases_are_removed(host: Host) -> None:
    releases = []
    for number in range(3):
        host.write(f"app = {number}\n")
        releases.append(host.run(keep=2)["release"])
    last = host.run(keep=2)
    assert (last["changed"], sorted(last["kept"])) == (False, sorted(releases[1:]))


def test_no_trace_of_credentials(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self, venv_python, arguments):
        with open(arguments[arguments.index("--requirement") + 1], encoding="utf-8") as handle:
            raise _release_installer.ReleaseError("cannot get " + handle.read())

    monkeypatch.setattr(_release_installer.Installer, "install", refuse)
    result = host.run(
        requirements=["x @ https://user:pass-one@host/x.whl"],
        index_url="https://user:pass-two@host/simple",
        extra_index_urls=["https://pass-three@host/simple"],
        environment={"URL": "redis://:pass-four@h", "OTHER": "pass-five"},
    )
    assert result["msg"] == "cannot get x @ https://********@host/x.whl\n"
    assert "pass-" not in host.output
    assert result["invocation"]["module_args"]["index_url"] == "https://********@host/simple"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"root": "/"}, ["root", "not /"]),
        ({"root": "opt/celery"}, ["root", "absolute"]),
        ({"python": "python3.11"}, ["python", "absolute"]),
        ({"python": "/nonexistent/python3.11"}, ["python: /nonexistent/python3.11", "install it"]),
        ({"requirements": ["-r other.txt"]}, ["requirements", "'-r other.txt'"]),
        ({"constraints": ["a\nb"]}, ["constraints"]),
        ({"requirements": [" "]}, ["requirements"]),
        ({"source": None}, ["requirements and source are both empty"]),
        ({"source_version": "v1"}, ["source_version"]),
        ({"_source": None}, ["action plugin"]),
        ({"files": {"../x.py": ""}}, ["files", "'../x.py'"]),
        ({"files": {"x.py": 1}}, ["files", "'x.py'"]),
        ({"import_check": ["rm -rf"], "import_user": USER}, ["import_check", "module:attribute"]),
        ({"import_check": ["shop"]}, ["import_user"]),
        ({"app": "shop app", "import_user": USER}, ["app", "module:attribute"]),
        ({"app": "shop"}, ["import_user is needed with app"]),
        ({"release": "../x"}, ["release", "'../x'", "previous"]),
        ({"python": None}, ["python", "absolute"]),
        ({"import_check": ["shop"], "import_user": "no-such-user"}, ["import_user", "no-such-user"]),
        ({"keep": 0}, ["keep"]),
        ({"find_links": ["/nonexistent"]}, ["find_links: /nonexistent"]),
        ({"source": "git+https://host/x.git@v1"}, ["source_version"]),
    ],
)
def test_bad_input_is_named_and_nothing_is_touched(host: Host, options: dict, words: list[str]) -> None:
    result = host.run(**options)
    assert result["failed"] is True
    for word in words:
        assert word in result["msg"]
    assert not (host.root / "releases").exists()


def test_directory_without_python_is_refused(host: Host) -> None:
    (host.source / "shop.py").rename(host.source / "shop.txt")
    assert "neither a package" in host.run()["msg"]
    assert os.listdir(host.root / "releases") == []
