#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_release
short_description: Build the virtual environment that all Celery units of a host run, as a release
version_added: "0.1.0"
description:
  - Builds a virtual environment from pinned requirements and an application, beside the one that is running and never inside it,
    proves it by importing the application and starting a worker of it that has no queue, and then makes it the current one in a
    single step.
  - A release is named by a digest of everything that goes in. The same input names the same release, so a second run changes
    nothing, and a release that is still on the host is switched back to without building.
  - A build that is interrupted or fails leaves C(current) alone and no half release behind.
  - The code belongs to root. The user that runs Celery only reads it.
  - It is installed by uv, which is fetched once if the host has none, or by the pip that comes with the interpreter. With uv, the
    interpreter needs no pip.
options:
  root:
    description:
      - Directory below which everything lies, on the host. C(releases/ID) holds the releases, the links C(current) and C(previous)
        name two of them, C(tools) holds uv and its cache (C(tools/cache) may be removed at any time).
    type: path
    default: /opt/celery
  python:
    description:
      - The interpreter to build on. When its version changes, so does the release.
      - Required unless O(release) is given.
    type: path
  requirements:
    description:
      - What to install, one requirement an item, as pip understands them. Pin what must not move by itself. A release is never
        upgraded in place, so an unpinned package stays as it is until anything else makes a new release.
    type: list
    elements: str
    default: []
  constraints:
    description:
      - Version limits for anything that gets installed, one an item, as in a pip constraints file.
    type: list
    elements: str
    default: []
  source:
    description:
      - "The application. Either a path on the controller, looked up as M(ansible.builtin.copy) does, to a directory, a wheel or a
        source distribution (C(.whl), C(.tar.gz), C(.zip)); or a git URL such as V(git+https://host/path), V(git+ssh://git@host/path)
        or V(git+file:///path), which the host itself fetches; C(#subdirectory=PATH) names a directory below the top."
      - A directory with a package in it (C(setup.py), or C(pyproject.toml) with a C([project]) or C([build-system]) table) is
        installed by pip, with what it requires.
      - Any other directory of modules is copied whole to C(app) in the release and put on the module search path, and the
        C(requirements.txt) at its top is installed too.
      - "Left out of a local directory: version control, byte code, caches, virtual environments and C(node_modules)."
    type: str
  source_version:
    description:
      - Branch, tag or full commit of a git O(source). Branches and tags are asked for on every run. Without it, the default branch.
    type: str
  files:
    description:
      - Small helper modules to put beside the installed packages. File name to content.
    type: dict
    default: {}
  installer:
    description:
      - V(auto) takes uv if there is one or one can be fetched, and pip otherwise.
    type: str
    choices: [auto, uv, pip]
    default: auto
  uv_requirement:
    description:
      - Which uv to fetch when the host has none.
    type: str
    default: uv>=0.8,<1
  index_url:
    description:
      - The package index. This and the three options below are by default what pip is configured to use on the host.
      - They do not take part in the name of a release. Credentials in URLs are not shown.
    type: str
  extra_index_urls:
    description:
      - Further indexes. uv takes a package from the first index that has it, these before O(index_url). pip takes the highest version.
    type: list
    elements: str
    default: []
  find_links:
    description:
      - Directories on the host, or URLs of pages, with distribution files (a wheelhouse).
    type: list
    elements: str
    default: []
  no_index:
    description:
      - Ask no index at all and use O(find_links) only. An application that must be built needs its build tools (such as setuptools)
        there as well.
    type: bool
    default: false
  release:
    description:
      - Go back to a release that is on the host, instead of building one. Its name, or V(previous) for the one that was the current
        one before. Only O(root), O(switch), O(environment_file) and the O(environment) for it matter then.
      - It was proven when it was built, and is not proven again, so that nothing stands in the way of a return.
    type: str
    version_added: "0.2.0"
  switch:
    description:
      - Whether the release becomes the current one. V(false) builds and proves it beside the running one and goes no further, so that a
        later call, or one that waits while this one builds, has nothing left to do but to switch.
      - Such a call can run in the background, with C(async) and a C(poll) of 0.
    type: bool
    default: true
    version_added: "0.2.0"
  keep:
    description:
      - How many releases to keep. The current one, the previous one and those in use by a running program always stay.
    type: int
    default: 3
  import_check:
    description:
      - Modules, or objects in them as C(module:attribute), that must be importable before the release becomes the current one.
        Checked again when this list, O(app) or O(environment) changes.
    type: list
    elements: str
    default: []
  app:
    description:
      - The Celery application, as after C(celery -A). Before the release becomes the current one, the application is loaded, its
        tasks are listed, and a worker of it is started and ended in one process. This worker's broker and result backend are in its
        own memory, whatever the settings say, so it takes no task of anybody. Code that the application ties to a worker's start
        does run.
    type: str
    version_added: "0.2.0"
  import_user:
    description:
      - The user to do so as. Needed for O(import_check) and O(app).
    type: str
  environment:
    description:
      - Environment variables for O(import_check) and O(app); what is not text is written as JSON. Their values are not shown.
    type: dict
    default: {}
  environment_file:
    description:
      - Writes O(environment) to a file that all units read, as M(taskqueue.stack.celery_environment) would, once the release is the
        current one. In a call of its own that costs as much as all the rest of a call that changes nothing.
      - It is written when nothing else changes, too, and not before a build has succeeded, nor when O(switch) is V(false).
    type: dict
    version_added: "0.2.0"
    suboptions:
      path:
        description: The file.
        type: path
        default: /etc/celery/celery.env
      owner:
        description: Its owner.
        type: str
        default: root
      group:
        description: Its group.
        type: str
      mode:
        description: Its mode.
        type: str
        default: "0640"
      backup:
        description: Keep what the file held before as PATH.previous, for the same readers, when it changes.
        type: bool
        default: false
      files:
        description: Files that the variables name, as O(taskqueue.stack.celery_environment#module:files).
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Where the variables say that the file is.
            type: path
            required: true
          content:
            description: What it holds. It appears in no result or log; in a difference only when it is a certificate.
            type: str
          src:
            description: A file on the host to copy. Give this or O(environment_file.files[].content), and leave the other out or empty.
            type: path
          mode:
            description: Its mode.
            type: str
            default: "0600"
  timeout:
    description:
      - Seconds that all of it may take.
    type: int
    default: 900
  _source:
    description:
      - What the action plugin tells the module about a local O(source). Not for playbooks.
    type: dict
  _default_index:
    description:
      - What the controller's pip has for a package index where none is configured, as a host without pip cannot tell. Not for playbooks.
    type: str
attributes:
  check_mode:
    description: Says whether a release would be built or switched to. Builds nothing.
    support: full
  diff_mode:
    description:
      - Shows what goes into the current and into the wanted release, and what changes in O(environment_file), without passwords.
    support: full
notes:
  - Runs as root.
  - A git O(source) needs git on the host.
author:
  - The taskqueue.stack maintainers (@taskqueue)
"""

EXAMPLES = r"""
- name: Build a release with an application from the controller
  taskqueue.stack.celery_release:
    python: /usr/bin/python3.11
    requirements:
      - celery[redis]==5.7.0
    constraints:
      - redis<9
    source: files/shop
    import_check:
      - shop.tasks:app
    import_user: celery
    app: shop.tasks:app
    environment:
      CELERY_BROKER_URL: "{{ broker_url }}"
    environment_file:
      group: celery

- name: Build a release from a tag, without network access to any index
  taskqueue.stack.celery_release:
    python: /usr/bin/python3.12
    requirements:
      - celery[redis]==5.7.0
    source: git+ssh://git@git.example.com/shop.git
    source_version: v2.1.0
    find_links:
      - /srv/wheelhouse
    no_index: true

- name: Go back to the release before
  taskqueue.stack.celery_release:
    release: previous
"""

RETURN = r"""
release:
  description: Name of the wanted release. V(null) in check mode, when it cannot be known before the interpreter or git is installed.
  type: str
  returned: success
  sample: 5f0c6c8d1b0a4e7f
path:
  description: Directory of the release.
  type: str
  returned: success
  sample: /opt/celery/releases/5f0c6c8d1b0a4e7f
previous:
  description: Name of the release that was the current one before, if there is any.
  type: str
  returned: success
built:
  description: Whether the release was built in this run.
  type: bool
  returned: success
switched:
  description: Whether another release was the current one before this run.
  type: bool
  returned: success
kept:
  description: Names of all releases on the host.
  type: list
  elements: str
  returned: success
removed:
  description: Names of the releases, and remains of interrupted builds, that were removed.
  type: list
  elements: str
  returned: success
packages:
  description: What is installed in the release. Empty in check mode, when the release does not exist yet.
  type: list
  elements: str
  returned: success
  sample: [celery==5.7.0, redis==6.4.0]
tasks:
  description: The tasks of O(app), without Celery's own. Empty when they are not known, as of a release that was gone back to.
  type: list
  elements: str
  returned: success
  version_added: "0.2.0"
  sample: [shop.tasks.bill, shop.tasks.ship]
environment_file:
  description: Of O(environment_file), its path, whether it changed, and where what it held before is kept.
  type: dict
  returned: when O(environment_file) is given
  version_added: "0.2.0"
  sample: {"path": /etc/celery/celery.env, "changed": true, "backup_file": /etc/celery/celery.env.previous}
pip_missing:
  description: Whether it failed because there is neither uv to be had nor pip, which Debian and Ubuntu keep in a package python3-venv.
  type: bool
  returned: failure
  version_added: "0.2.0"
installer:
  description: What the release was built with.
  type: str
  returned: success
  sample: uv 0.13.9
durations:
  description: Seconds that the steps of the build took.
  type: dict
  returned: success
  sample: {venv: 0.1, source: 0.0, install: 0.6, compile: 1.2, proof: 0.6, total: 2.7}
"""

import datetime
import errno
import functools
import hashlib
import json
import os
import pwd
import re
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._environment_file import EnvironmentProblem, as_text, write_environment
from ansible_collections.taskqueue.stack.plugins.module_utils._masking import (
    MASK,
    Masker,
    environment_secrets,
    mask_urls,
    url_secrets,
)
from ansible_collections.taskqueue.stack.plugins.module_utils._named_files import FILES, FileProblem, named_files
from ansible_collections.taskqueue.stack.plugins.module_utils._release_build import (
    LAYOUT,
    Builder,
    Proof,
    probe_python,
)
from ansible_collections.taskqueue.stack.plugins.module_utils._release_commands import Commands
from ansible_collections.taskqueue.stack.plugins.module_utils._release_git import GitSource
from ansible_collections.taskqueue.stack.plugins.module_utils._release_installer import Index, Installer, NoPip
from ansible_collections.taskqueue.stack.plugins.module_utils._release_store import (
    ReleaseError,
    ReleaseStore,
    release_id,
)

ARGUMENT_SPEC = {
    "root": {"type": "path", "default": "/opt/celery"},
    "python": {"type": "path"},
    # no_log keeps what may hold credentials out of the host's log; take_secrets() does the rest.
    "requirements": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "constraints": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "source": {"type": "str", "no_log": True},
    "source_version": {"type": "str"},
    "files": {"type": "dict", "default": {}},
    "installer": {"type": "str", "choices": ["auto", "uv", "pip"], "default": "auto"},
    "uv_requirement": {"type": "str", "default": "uv>=0.8,<1"},
    "index_url": {"type": "str", "no_log": True},
    "extra_index_urls": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "find_links": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "no_index": {"type": "bool", "default": False},
    "release": {"type": "str"},
    "switch": {"type": "bool", "default": True},
    "keep": {"type": "int", "default": 3},
    "import_check": {"type": "list", "elements": "str", "default": []},
    "app": {"type": "str"},
    "import_user": {"type": "str"},
    "environment": {"type": "dict", "default": {}, "no_log": True},
    "environment_file": {
        "type": "dict",
        # For the keys among its files.
        "no_log": True,
        "options": {
            "path": {"type": "path", "default": "/etc/celery/celery.env"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str"},
            "mode": {"type": "str", "default": "0640"},
            "backup": {"type": "bool", "default": False},
            "files": FILES,
        },
    },
    "timeout": {"type": "int", "default": 900},
    "_source": {"type": "dict"},
    "_default_index": {"type": "str"},
}
_URL_OPTIONS = ("requirements", "constraints", "source", "index_url", "extra_index_urls", "find_links")
# Where a source was put for this run, which says nothing about the source.
_SENT = ("archive", "directory")
_RELEASE = re.compile(r"[0-9a-f]{16}")
_MODULE_FILE = re.compile(r"[A-Za-z_]\w*\.py")
_IMPORT_TARGET = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")


def take_secrets(module: AnsibleModule) -> tuple[dict, Masker]:
    """The parameters, and what hides their secrets in texts.

    AnsibleModule would blank every value of a no_log option wherever it occurs in the result, the name of a release
    included. So they are taken out of its sight, and only the parts of them that are secret get hidden, by the masker.
    """
    params = dict(module.params)
    secrets: set[str] = set()
    for option in _URL_OPTIONS:
        value = params[option]
        secrets |= url_secrets(value if isinstance(value, str) else "\n".join(value or []))
        module.params[option] = mask_urls(value) if isinstance(value, str) else [mask_urls(item) for item in value or []]
    params["environment"] = {str(name): as_text(value) for name, value in params["environment"].items()}
    secrets |= environment_secrets(params["environment"])
    module.params["environment"] = dict.fromkeys(params["environment"], MASK)
    params["_files"] = named_files(module, params["environment_file"]["files"]) if params["environment_file"] else []
    module.no_log_values = set()
    return params, Masker(secrets)


def validate(params: dict) -> None:
    """What types cannot say."""
    if not os.path.isabs(params["root"]) or os.path.normpath(params["root"]) == "/":
        raise ReleaseError(f"root: {params['root']!r} must be an absolute path and not /")
    if params["release"]:
        if params["release"] != "previous" and not _RELEASE.fullmatch(params["release"]):
            raise ReleaseError(f"release: {params['release']!r} is neither the name of a release (16 digits and letters a to f) nor previous")
        return
    if not os.path.isabs(params["python"] or ""):
        raise ReleaseError(f"python: {params['python']!r} must be an absolute path such as /usr/bin/python3.11")
    if not params["requirements"] and not params["source"]:
        raise ReleaseError("requirements and source are both empty: name what to install")
    for option in ("requirements", "constraints"):
        for line in params[option]:
            if "\n" in line or not line.strip() or line.strip()[0] in "-#":
                raise ReleaseError(f"{option}: {mask_urls(line)!r} is no requirement: write one an item, and pip's options as options of this module")
    for name, content in params["files"].items():
        if not _MODULE_FILE.fullmatch(name) or not isinstance(content, str):
            raise ReleaseError(f"files: {name!r} must be the name of a Python module such as helper.py, and its value a text")
    named = {"import_check": params["import_check"], "app": [params["app"]] if params["app"] else []}
    for option, targets in named.items():
        for target in targets:
            if not _IMPORT_TARGET.fullmatch(target):
                raise ReleaseError(f"{option}: {target!r} must be written as module or module:attribute")
        if targets and not params["import_user"]:
            raise ReleaseError(f"import_user is needed with {option}: name the user that runs Celery")
    if params["keep"] < 1:
        raise ReleaseError(f"keep: {params['keep']} must be at least 1")
    if params["source_version"] and not (params["source"] or "").startswith("git+"):
        raise ReleaseError("source_version is only for a source that is a git URL (git+https://...)")
    if params["source"] and not params["source"].startswith("git+") and not params["_source"]:
        raise ReleaseError("source: a path on the controller needs the action plugin of this collection, so call taskqueue.stack.celery_release")


def validate_host(params: dict) -> None:
    """What must be there by the time of the build; in check mode an earlier task may still have to make it."""
    for link in params["find_links"]:
        if "://" not in link and not os.path.exists(link):
            raise ReleaseError(f"find_links: {link} does not exist on this host")
    if params["import_user"]:
        try:
            pwd.getpwnam(params["import_user"])
        except KeyError as error:
            raise ReleaseError(f"import_user: there is no user {params['import_user']!r} on this host: create it first") from error


class Release:
    """The wanted release on this host."""

    def __init__(self, module: AnsibleModule, params: dict, mask: Masker) -> None:
        self._module = module
        self._params = params
        self._store = ReleaseStore(params["root"])
        self._commands = Commands(params["timeout"], mask)
        self._git = None
        if (params["source"] or "").startswith("git+") and not params["release"]:
            self._git = GitSource.parse(params["source"], params["source_version"])
        self._source: dict | None = None
        self._inputs: dict | None = None
        self._proof = Proof(params["import_check"], params["app"] or "", params["import_user"] or "", params["environment"])
        self._tasks: list[str] = []

    def _resolve(self) -> str | None:
        """The name of the wanted release, or None when what it depends on is yet to be installed (check mode only)."""
        python = probe_python(self._commands, self._params["python"])
        if python is None and not self._module.check_mode:
            raise ReleaseError(f"python: {self._params['python']} does not exist on this host: install it, or name another interpreter")
        if self._git:
            if self._module.check_mode and not shutil.which("git"):
                return None
            self._source = {"kind": "git", "commit": self._git.commit(self._commands), "subdirectory": self._git.subdirectory}
        elif self._params["_source"]:
            self._source = dict(self._params["_source"])
        if python is None:
            return None
        self._inputs = {
            "layout": LAYOUT,
            "python": python,
            # Without credentials: a new token is no new release, and its digest is no hint for a guesser.
            "requirements": sorted({mask_urls(line.strip()) for line in self._params["requirements"]}),
            "constraints": sorted({mask_urls(line.strip()) for line in self._params["constraints"]}),
            "source": {key: value for key, value in self._source.items() if key not in _SENT} if self._source else None,
            "files": {name: hashlib.sha256(content.encode()).hexdigest() for name, content in self._params["files"].items()},
        }
        return release_id(self._inputs)

    def run(self) -> dict:
        """Bring the host to the wanted release; the module's result."""
        if self._params["release"]:
            return self._go_back()
        release = self._resolve()
        if release is None:
            return self._result(None, {}, self._store.linked("current"), True, [])
        marker = self._store.marker(release)
        current = self._store.linked("current")
        surplus = self._store.prunable(self._params["keep"], release) if self._params["switch"] else []
        proven = self._find_proof(release)
        # Who does not switch changes nothing that runs, and so has nothing to do once the release is there.
        settled = marker and (not self._params["switch"] or (current == release and not surplus and proven))
        if self._module.check_mode or settled:
            return self._result(release, marker or {}, current, not marker, surplus)
        validate_host(self._params)
        if not marker and self._source and not self._git and "archive" not in self._source:
            return {"changed": False, "source_wanted": True}
        durations: dict[str, float] = {}
        with self._store.locked(self._commands.deadline) as self._commands.lock:
            # Another run may have built it while this one waited.
            marker = self._store.marker(release)
            built = marker is None
            if marker is None:
                marker, durations = self._build(release)
            elif not self._find_proof(release):
                self._prove(release)
            if not self._params["switch"]:
                return {**self._result(release, marker, current, built, []), "durations": durations}
            self._store.switch(release)
            surplus = self._store.prunable(self._params["keep"], release)
            for name in surplus:
                self._store.remove(name)
        return {**self._result(release, marker, current, built, surplus), "durations": durations}

    def _go_back(self) -> dict:
        wanted = self._params["release"]
        release = self._store.linked("previous") if wanted == "previous" else wanted
        marker = self._store.marker(release)
        if release is None or marker is None:
            there = ", ".join(self._store.whole()) or "none"
            raise ReleaseError(f"release: there is no release {release or wanted} on this host to go back to; there are: {there}")
        current = self._store.linked("current")
        self._inputs = marker["inputs"]
        if self._params["switch"] and not self._module.check_mode:
            with self._store.locked(self._commands.deadline):
                self._store.switch(release)
        return self._result(release, marker, current, False, [])

    def _find_proof(self, release: str) -> bool:
        tasks = self._store.proven_tasks(self._proof.digest(release))
        self._tasks = tasks or []
        return tasks is not None

    def _prove(self, release: str) -> None:
        self._tasks = self._proof.run(self._commands, self._store.path(release))
        self._store.record_proof(self._proof.digest(release), self._tasks)

    def _build(self, release: str) -> tuple[dict, dict[str, float]]:
        params = self._params
        start = time.monotonic()
        index = Index(params["index_url"], params["extra_index_urls"], params["find_links"], params["no_index"], params["_default_index"])
        installer = Installer(self._commands, params["python"], self._store.tools, index, params["installer"], params["uv_requirement"])
        builder = Builder(self._commands, self._store, release, self._inputs["python"]["executable"])
        self._store.remove(release)
        try:
            builder.create()
            project = builder.fetch(self._source, self._git)
            builder.install(installer, params["requirements"], params["constraints"], project)
            if installer.no_uv:
                self._module.warn(f"uv cannot be had, so pip built the release, which takes longer: {installer.no_uv}")
            builder.finish(params["files"], self._module.selinux_enabled())
            with builder.timed("proof"):
                self._prove(release)
            marker = {
                "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds"),
                "inputs": self._inputs,
                "source": mask_urls(params["source"]) if params["source"] else None,
                "source_version": params["source_version"],
                "installer": installer.name,
                "packages": builder.packages(),
            }
            self._store.complete(release, marker)
        except BaseException:
            self._store.remove(release)
            raise
        return marker, {**builder.durations, "total": round(time.monotonic() - start, 2)}

    def _result(self, release: str | None, marker: dict, before: str | None, built: bool, removed: list[str]) -> dict:
        """`before` is the release that was current when the run began."""
        switched = self._params["switch"] and (release is None or before != release)
        result = {
            "changed": built or switched or bool(removed),
            "release": release,
            "path": self._store.path(release) if release else None,
            "previous": before if switched else self._store.linked("previous"),
            "built": built,
            "switched": switched,
            "kept": [name for name in self._store.whole() if name not in removed],
            "removed": removed,
            "packages": marker.get("packages", []),
            "tasks": self._tasks,
            "installer": marker.get("installer"),
            "durations": {},
        }
        if self._module._diff:
            old = self._store.marker(before) or {}
            result["diff"] = {
                "before_header": "current release",
                "after_header": "wanted release",
                # The packages of a release that is not built yet are not known, so they would all seem to go.
                "before": _as_text(before, old.get("inputs"), old.get("packages") if marker else None),
                "after": _as_text(release, self._inputs, marker.get("packages")),
            }
        return result


def _as_text(release: str | None, inputs: dict | None, packages: list[str] | None) -> str:
    shown = {"release": release, "inputs": inputs, **({"packages": packages} if packages else {})}
    return json.dumps(shown, indent=2, sort_keys=True) + "\n" if release else ""


def main() -> None:
    module = AnsibleModule(ARGUMENT_SPEC, required_one_of=[("python", "release")], supports_check_mode=True)
    # The code must be readable for another user, whatever umask the administrator's shell has.
    os.umask(0o022)
    try:
        params, mask = take_secrets(module)
    except FileProblem as error:
        for file in module.params["environment_file"]["files"]:
            file["content"] = MASK if file["content"] else None
        # Else Ansible would mask the path in the message.
        module.no_log_values = set()
        module.fail_json(msg=f"environment_file: {error}")
    try:
        validate(params)
        if not params["switch"]:
            # It does not run yet: what is installed meanwhile, and the workers that do run, come first.
            os.nice(10)
        result = Release(module, params, mask).run()
    except ReleaseError as error:
        module.fail_json(msg=mask(str(error)), pip_missing=isinstance(error, NoPip))
    except OSError as error:
        hint = " (no space left: tools/cache below root may be removed)" if error.errno == errno.ENOSPC else ""
        module.fail_json(msg=mask(f"{error.strerror}: {error.filename or params['root']}{hint}"))
    finally:
        directory = (params["_source"] or {}).get("directory")
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
    if params["environment_file"] and params["switch"] and not result.get("source_wanted"):
        # Whatever ends it, also one of Ansible's own functions: with what was done, so that it can be gone back from.
        module.fail_json = functools.partial(module.fail_json, **result)
        try:
            written = write_environment(
                module, params["environment_file"], params["environment"], params["_files"], params["environment_file"]["backup"]
            )
        except EnvironmentProblem as error:
            module.fail_json(msg=f"environment_file: {error}")
        differences = written.pop("diff")
        result.update(changed=result["changed"] or written["changed"], environment_file=written)
        if "diff" in result:
            result["diff"] = [result["diff"], *differences]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
