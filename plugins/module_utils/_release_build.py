# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds one release: a virtual environment with everything in it, and what proves it."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ._release_commands import CommandFailed, Commands
from ._release_git import GitSource
from ._release_installer import Installer
from ._release_store import ReleaseError, ReleaseStore
from ._source_tree import has_python, is_project, unpack_tree

# Part of the release id: a release built to another plan is another release.
LAYOUT = 1
# A Celery environment takes 35 MB, twice that with uv and its cache; a full disk would stop Redis from persisting.
SPACE_NEEDED = 200 * 2**20
# Importing an application takes seconds; one that waits for something when imported would hang its workers as well.
IMPORT_LIMIT = 120.0

_PROBE = """
import json, os, platform, sys
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "version": platform.python_version(),
    "abi": sys.implementation.cache_tag + getattr(sys, "abiflags", ""),
    "platform": getattr(sys.implementation, "_multiarch", sys.platform),
}))
"""
# Ends without the interpreter's own clean-up, since threads that an application started would keep it waiting.
# The worker's broker is in its own memory: what it would consume from, or store in, is nobody else's.
_PROOF = """
import importlib, json, os, sys, traceback
step = ""
def load(target):
    module, _, attribute = target.partition(":")
    value = importlib.import_module(module)
    for name in filter(None, attribute.split(".")):
        value = getattr(value, name)
def start(name):
    from celery import Celery
    from celery.app.utils import find_app
    from celery.exceptions import WorkerShutdown
    app = find_app(name)
    if not isinstance(app, Celery):
        raise TypeError(f"it is no Celery application but {type(app).__name__} {app!r}")
    for variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        os.environ[variable] = "memory://"
    os.environ["CELERY_RESULT_BACKEND"] = "cache+memory://"
    app.conf.update(broker_transport=None, broker_transport_options={}, broker_use_ssl=False, worker_state_db=None)
    class Worker(app.WorkController):
        def on_consumer_ready(self, consumer):
            raise WorkerShutdown(0)
    options = {"pool": "solo", "concurrency": 1, "hostname": "proof@localhost"}
    worker = Worker(app=app, without_gossip=True, without_mingle=True, without_heartbeat=True, **options)
    try:
        worker.blueprint.start(worker)
    except WorkerShutdown:
        pass
    return sorted(name for name in app.tasks if not name.startswith("celery."))
try:
    app, *targets = sys.argv[1:]
    for step in targets:
        load(step)
    step = f"celery -A {app} worker"
    print("\\n" + json.dumps(start(app) if app else []), flush=True)
except BaseException as error:
    places = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    places = [place for place in places if place[0] != importlib.__file__]
    if isinstance(error, SyntaxError):
        places.append((error.filename, error.lineno))
    where = " ({}, line {})".format(*places[-1]) if places else ""
    reason = " ".join(traceback.format_exception_only(type(error), error)[-1].splitlines())
    print(f"\\n{step}: {reason}{where}", file=sys.stderr, flush=True)
    os._exit(1)
os._exit(0)
"""


def probe_python(commands: Commands, python: str) -> dict | None:
    """What distinguishes an interpreter from another, or None when there is none."""
    if not os.path.exists(python):
        return None
    # -S: site-packages have no say in this, and it takes half the time.
    answer = commands.run([python, "-I", "-S", "-c", _PROBE], f"python: {python} is no usable Python 3")
    try:
        return json.loads(answer)
    except ValueError as error:
        raise ReleaseError(f"python: {python} is no Python interpreter") from error


@dataclass(frozen=True)
class Proof:
    """What has to work in a release before anything runs it, and as whom."""

    imports: list[str]
    app: str
    user: str
    environment: dict[str, str]

    def digest(self, release: str) -> str:
        """Names the proof of one release: the application and its environment may change while the release stays the same."""
        return hashlib.sha256(json.dumps([release, asdict(self)], sort_keys=True).encode()).hexdigest()

    def run(self, commands: Commands, path: str) -> list[str]:
        """Import the application as its user would, without a chance to write into the release, and start a worker of it.

        Returns the names of the application's tasks.
        """
        if not self.imports and not self.app:
            return []
        env = {**self.environment, "PYTHONDONTWRITEBYTECODE": "1", "PATH": f"{path}/bin:{os.defpath}"}
        failure = f"the application cannot be {'started' if self.app else 'imported'} by {self.user}"
        try:
            output = commands.run_as(self.user, [f"{path}/bin/python", "-c", _PROOF, self.app, *self.imports], failure, env, IMPORT_LIMIT)
        except CommandFailed as error:
            raise ReleaseError(f"{failure}: {error.output.splitlines()[-1]}") from error
        return json.loads(output.splitlines()[-1])


class Builder:
    """The steps of a build, in order, and how long each took."""

    def __init__(self, commands: Commands, store: ReleaseStore, release: str, python: str) -> None:
        self._commands = commands
        self._store = store
        self._path = store.path(release)
        self._work = os.path.join(self._path, ".build")
        self._app = os.path.join(self._path, "app")
        self._python = python
        self.durations: dict[str, float] = {}

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.durations[step] = round(time.monotonic() - start, 2)

    @property
    def _site_packages(self) -> str:
        return glob.glob(os.path.join(self._path, "lib", "python3*", "site-packages"))[0]

    def create(self) -> None:
        """An empty environment. Without pip: nobody installs into a release later."""
        free = shutil.disk_usage(self._store.releases).free
        if free < SPACE_NEEDED:
            raise ReleaseError(
                f"not enough disk space in {self._store.releases}: {free >> 20} MB free, {SPACE_NEEDED >> 20} MB needed."
                f" {self._store.tools}/cache may be removed; a lower keep removes old releases"
            )
        with self.timed("venv"):
            self._commands.run(
                [self._python, "-I", "-m", "venv", "--without-pip", self._path],
                f"python: {self._python} cannot make a virtual environment (Debian and Ubuntu have that in a package python3-venv)",
            )
        os.mkdir(self._work, mode=0o700)

    def fetch(self, source: dict | None, git: GitSource | None) -> str | None:
        """Lay out the application's source; what the installer has to be given for it."""
        tree = os.path.join(self._work, "source")
        with self.timed("source"):
            if git and source:
                tree = git.checkout(self._commands, source["commit"], tree)
            elif source and source["kind"] == "directory":
                unpack_tree(source["archive"], tree)
            elif source:
                return source["archive"]
            else:
                return None
            if is_project(tree):
                return tree
            if not has_python(tree):
                raise ReleaseError("source holds neither a package (pyproject.toml, setup.py) nor any Python module")
            # The modules stay together with their templates and data, and cannot overwrite what packages install.
            shutil.rmtree(os.path.join(tree, ".git"), ignore_errors=True)
            os.rename(tree, self._app)
            self._write("taskqueue_stack_app.pth", os.path.relpath(self._app, self._site_packages) + "\n")
        return None

    def install(self, installer: Installer, requirements: list[str], constraints: list[str], project: str | None) -> None:
        """Everything in one call, so that it is resolved together."""
        arguments = [project] if project else []
        for option, lines in (("--requirement", requirements), ("--constraint", constraints)):
            if lines:
                arguments += [option, self._private_file(option.strip("-") + "s.txt", lines)]
        own = os.path.join(self._app, "requirements.txt")
        if os.path.exists(own):
            arguments += ["--requirement", own]
        with self.timed("install"):
            if project or requirements or os.path.exists(own):
                installer.install(os.path.join(self._path, "bin", "python"), arguments)

    def _private_file(self, name: str, lines: list[str]) -> str:
        path = os.path.join(self._work, name)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write("\n".join(lines) + "\n")
        return path

    def _write(self, name: str, content: str) -> None:
        with open(os.path.join(self._site_packages, name), "w", encoding="utf-8") as handle:
            handle.write(content)

    def finish(self, files: dict[str, str], relabel: bool) -> None:
        """Helper modules, byte code and security labels.

        Byte code costs a build 1.2 s and spares each start of a worker 0.5 s (measured), which would be spent every time,
        as the workers' user cannot write it.
        """
        for name, content in files.items():
            self._write(name, content)
        shutil.rmtree(self._work, ignore_errors=True)
        # uv's lock file, which everybody may write.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._path, ".lock"))
        trees = [tree for tree in (self._site_packages, self._app) if os.path.isdir(tree)]
        with self.timed("compile"), contextlib.suppress(CommandFailed):
            # Packages may ship templates that are no valid Python; they fail here and are never imported.
            tests = f"{re.escape(self._site_packages)}.*/tests?/"
            self._commands.run([f"{self._path}/bin/python", "-m", "compileall", "-qq", "-j0", "-x", tests, *trees], "byte code")
        restorecon = shutil.which("restorecon") if relabel else None
        if restorecon:
            self._commands.run([restorecon, "-R", self._path], "restorecon cannot label the release")

    def packages(self) -> list[str]:
        """What is installed, as `name==version`."""
        found = []
        for info in glob.glob(os.path.join(self._site_packages, "*.dist-info", "METADATA")):
            with open(info, encoding="utf-8", errors="replace") as handle:
                header = dict(re.findall(r"^(Name|Version): *(\S+)", handle.read(4096), re.MULTILINE))
            found.append(f"{header.get('Name')}=={header.get('Version')}")
        return sorted(found, key=str.lower)
