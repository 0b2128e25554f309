# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _release_build
from ansible_collections.taskqueue.stack.plugins.module_utils._masking import Masker
from ansible_collections.taskqueue.stack.plugins.module_utils._release_build import Builder, Proof, probe_python
from ansible_collections.taskqueue.stack.plugins.module_utils._release_commands import Commands
from ansible_collections.taskqueue.stack.plugins.module_utils._release_store import ReleaseError, ReleaseStore

USER = getpass.getuser()


@pytest.fixture
def commands() -> Commands:
    return Commands(60, Masker({"hunter2"}))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Something with a bin/python and a place for modules."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "modules").mkdir()
    return tmp_path


def imports(commands: Commands, release: Path, target: str, code: str = "", **environment: str) -> None:
    (release / "modules" / "shop.py").write_text(code)
    Proof([target], "", USER, {"PYTHONPATH": str(release / "modules"), **environment}).run(commands, str(release))


def test_probe_tells_version_and_real_path(commands: Commands) -> None:
    probed = probe_python(commands, sys.executable)
    assert probed["executable"] == os.path.realpath(sys.executable)
    assert probed["version"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")


def test_probe_of_nothing_and_of_something_else(commands: Commands) -> None:
    assert probe_python(commands, "/nonexistent/python") is None
    with pytest.raises(ReleaseError, match="python: /bin/true is no Python interpreter"):
        probe_python(commands, "/bin/true")
    with pytest.raises(ReleaseError, match="python: /bin/false is no usable Python 3"):
        probe_python(commands, "/bin/false")


@pytest.mark.parametrize("target", ["shop", "shop:app", "shop:app.name"])
def test_importable_application(commands: Commands, release: Path, target: str) -> None:
    imports(commands, release, target, "import os, types\napp = types.SimpleNamespace(name=os.environ['NAME'])", NAME="x")


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("shop", "raise ValueError('two\\nlines')", "shop: ValueError: two"),
        ("shop", "import nosuch", r"No module named 'nosuch' \(.*shop.py, line 1\)"),
        ("shop", "def (", r"SyntaxError: .*shop.py, line 1\)"),
        ("shop", "raise SystemExit(3)", "SystemExit: 3"),
        ("shop:nope", "", "shop:nope: AttributeError: module 'shop' has no attribute 'nope'$"),
        ("absent", "", "absent: ModuleNotFoundError: No module named 'absent'$"),
        ("shop", "raise ValueError('password is hunter2')", r"password is \*\*\*\*\*\*\*\* "),
    ],
)
def test_failing_application_is_explained_in_one_line(commands: Commands, release: Path, target: str, code: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message) as failure:
        imports(commands, release, target, code)
    assert str(failure.value).startswith(f"the application cannot be imported by {USER}: ")


CELERY = "from celery import Celery\napp = Celery('shop', broker='redis://nowhere.invalid', backend='redis://nowhere.invalid')\n"


def starts(commands: Commands, release: Path, app: str, code: str) -> list[str]:
    (release / "modules" / "shop.py").write_text(code)
    # The link in `release` leads to an interpreter without packages.
    path = os.pathsep.join([str(release / "modules"), *(entry for entry in sys.path if "site-packages" in entry)])
    return Proof([], app, USER, {"PYTHONPATH": path, "CELERY_BROKER_URL": "redis://nowhere.invalid"}).run(commands, str(release))


def test_a_worker_starts_without_its_broker_and_the_tasks_are_listed(commands: Commands, release: Path) -> None:
    code = CELERY + "import os\nassert 'nowhere' in os.environ['CELERY_BROKER_URL']\n@app.task\ndef bill(): pass\n"
    assert starts(commands, release, "shop", code) == ["shop.bill"]
    assert starts(commands, release, "shop:app", code) == ["shop.bill"]


@pytest.mark.parametrize(
    ("app", "code", "message"),
    [
        ("shop:nope", CELERY, "celery -A shop:nope worker: ModuleNotFoundError"),
        ("shop:app", "app = 1", "celery -A shop:app worker: TypeError: it is no Celery application but int 1"),
        ("shop", CELERY + "app.conf.include = ['shop_tasks']", "No module named 'shop_tasks'"),
        ("shop", CELERY + "app.conf.worker_consumer = 'nowhere:Consumer'", "No module named 'nowhere'"),
        (
            "shop",
            CELERY + "from celery import bootsteps\nclass Gate(bootsteps.StartStopStep):\n    def start(self, c): raise OSError('shut')\n"
            "app.steps['worker'].add(Gate)",
            r"OSError: shut \(.*shop.py, line 5\)",
        ),
    ],
)
def test_worker_that_cannot_start_is_explained_in_one_line(commands: Commands, release: Path, app: str, code: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message) as failure:
        starts(commands, release, app, code)
    assert str(failure.value).startswith(f"the application cannot be started by {USER}: celery -A {app} worker: ")
    assert len(str(failure.value).splitlines()) == 1


def test_application_that_starts_a_thread_ends(commands: Commands, release: Path) -> None:
    imports(commands, release, "shop", "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()")


def test_application_that_hangs_is_given_up(commands: Commands, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_build, "IMPORT_LIMIT", 1.0)
    with pytest.raises(ReleaseError, match="no end after 1 s"):
        imports(commands, release, "shop", "import time\ntime.sleep(600)")


def test_import_leaves_no_byte_code(commands: Commands, release: Path) -> None:
    imports(commands, release, "shop")
    assert not (release / "modules" / "__pycache__").exists()


def test_full_disk_is_refused_before_it_gets_fuller(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ReleaseStore(str(tmp_path))
    os.makedirs(store.releases)
    monkeypatch.setattr(_release_build, "SPACE_NEEDED", 2**60)
    with pytest.raises(ReleaseError, match="not enough disk space"):
        Builder(commands, store, "a" * 16, sys.executable).create()
    assert os.listdir(store.releases) == []
