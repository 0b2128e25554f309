#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_service
short_description: Keep a set of systemd units as wanted, and restart those that run something outdated
version_added: "0.1.0"
description:
  - Writes unit files, enables and starts the units, removes those that are no longer wanted, and restarts the running ones whose
    unit file, or a file their processes depend on, is not what they were started with. All of it in one call.
  - "Whether a restart is due follows from the state of the host and not from what this run changed, so a run that was interrupted
    between writing and restarting is made up for by the next one. C(/run/taskqueue-stack), which only root may enter, holds for
    each unit a digest of what it was started with and the C(InvocationID) that systemd gave to that start. As long as the unit
    has the same C(InvocationID), the digest decides. A unit that somebody else has started since (an operator, C(Restart=), a
    reboot) is up to date if it started after the last change of its files."
  - Units that have to be restarted are restarted together, so that the time they take to finish their tasks is spent once.
options:
  units:
    description:
      - The units that shall exist.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of a service unit.
        type: str
        required: true
      content:
        description:
          - The text of its file. Must hold the words C(Managed by taskqueue.stack), by which the file is known as one that this
            module may change and remove. Must hold no secret, since everybody on the host can read it.
          - Without it, the file is left as it is, and must be there.
        type: str
  pattern:
    description:
      - Shell pattern of unit names, which the names in O(units) must match. Units of such a name that are not in O(units), and whose
        file in C(/etc/systemd/system) was written by this collection, are stopped, disabled and removed.
    type: str
  absent:
    description:
      - Names of units that shall not exist. Treated as those that O(pattern) finds, and left alone when this collection did not write
        their file.
    type: list
    elements: str
    default: []
  watch:
    description:
      - Files that the processes of the units depend on. Of a symbolic link, its target is what counts, and not the content.
    type: list
    elements: path
    default: []
  pending:
    description:
      - In check mode, whether earlier tasks would change any of O(watch). Has no effect otherwise.
    type: bool
    default: false
  enabled:
    description:
      - Whether the units start when the host boots.
    type: bool
    default: true
  state:
    description:
      - Whether the units run.
    type: str
    choices: [started, stopped]
    default: started
  restart:
    description:
      - What to do with running units that run something outdated. With V(never), they are only named in RV(restart_required).
      - V(always) restarts every running unit.
    type: str
    choices: [needed, never, always]
    default: needed
  settle:
    description:
      - Seconds for which a unit that was started has to stay active.
    type: float
    default: 3
  smoke_test:
    description:
      - Proves workers by tasks that come back, once the units run, as the module M(taskqueue.stack.celery_smoke_test) does. Here it costs
        less time, as Celery is imported while systemd is busy.
      - "In check mode, what that module does in check mode; nothing where a unit would be started or restarted, or O(pending)."
    type: dict
    version_added: "0.2.0"
    suboptions:
      workers:
        description:
          - Workers to prove, as V(NAME@HOST). When one fails, the message ends with the journal of the unit of O(units) whose instance
            has the name of the worker, as C(celery-worker@NAME.service) has.
        type: list
        elements: str
        required: true
      count:
        description: How many tasks each worker gets.
        type: int
        default: 6
      timeout:
        description: Seconds for all tasks together.
        type: float
        default: 30
      env_file:
        description: File on the host that says where the broker is, as for the module M(taskqueue.stack.celery_smoke_test).
        type: path
        default: /etc/celery/celery.env
      python:
        description: Interpreter on the host that has Celery with Redis.
        type: path
        default: /opt/celery/current/bin/python
attributes:
  check_mode:
    description: Says what would be written, removed, started and restarted, also before anything the units need is installed.
    support: full
  diff_mode:
    description: Shows the changes to unit files, and names the units that are started, restarted and stopped.
    support: full
notes:
  - Runs as root, on a host that was booted with systemd.
author:
  - The taskqueue.stack maintainers (@taskqueue)
"""

EXAMPLES = r"""
- name: Run exactly these two workers
  taskqueue.stack.celery_service:
    units:
      - name: celery-worker@default.service
        content: "{{ lookup('ansible.builtin.template', 'worker.service.j2') }}"
      - name: celery-worker@reports.service
        content: "{{ lookup('ansible.builtin.template', 'worker.service.j2') }}"
    pattern: celery-worker@*.service
    watch:
      - /etc/celery/celery.env
      - /opt/celery/current
    smoke_test:
      workers:
        - default@{{ inventory_hostname }}
        - reports@{{ inventory_hostname }}
"""

RETURN = r"""
units:
  description: What was done with each unit, or on failure was to be done, and how it is now.
  type: list
  elements: dict
  returned: success, and on failure as far as known
  contains:
    name:
      description: Name of the unit.
      type: str
    changed:
      description: Whether anything about it was changed.
      type: bool
    written:
      description: Whether its file was written.
      type: bool
    enabled:
      description: Whether it was enabled or disabled in this run.
      type: bool
    started:
      description: Whether it was started.
      type: bool
    restarted:
      description: Whether it was restarted.
      type: bool
    stopped:
      description: Whether it was stopped.
      type: bool
    active_state:
      description: Its state now, in systemd's words.
      type: str
      sample: active
    pid:
      description: Its main process, 0 if there is none.
      type: int
removed:
  description: Names of the units that were removed.
  type: list
  elements: str
  returned: success, and on failure as far as known
restart_required:
  description: Names of running units that are outdated and were not restarted, because of O(restart=never).
  type: list
  elements: str
  returned: success, and on failure as far as known
before:
  description:
    - The units as they were found, the removed ones included. Given as O(units), they bring back what was.
  type: list
  elements: dict
  returned: success, and on failure as far as known
  version_added: "0.2.0"
  contains:
    name:
      description: Name of the unit.
      type: str
    content:
      description: The text of its file.
      type: str
reloaded:
  description: Whether systemd had to read its unit files again.
  type: bool
  returned: success, and on failure as far as known
smoke_test:
  description:
    - What M(taskqueue.stack.celery_smoke_test) returns of O(smoke_test), when that was carried out.
  type: dict
  returned: when the workers were tested, also when they failed
  version_added: "0.2.0"
  sample: {sent: 6, succeeded: 6, failed_tasks: 0, workers: [default@worker1]}
"""

import contextlib
import fnmatch
import os
import re
import tempfile
import time
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._masking import mask_urls
from ansible_collections.taskqueue.stack.plugins.module_utils._smoke_test_process import SmokeTestProcess
from ansible_collections.taskqueue.stack.plugins.module_utils._systemd import Systemd, SystemdError, UnitState
from ansible_collections.taskqueue.stack.plugins.module_utils._unit_records import (
    Watched,
    WatchError,
    is_up_to_date,
    read_record,
    remove_record,
    write_record,
)

ARGUMENT_SPEC = {
    "units": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"name": {"type": "str", "required": True}, "content": {"type": "str"}},
    },
    "pattern": {"type": "str"},
    "absent": {"type": "list", "elements": "str", "default": []},
    "watch": {"type": "list", "elements": "path", "default": []},
    "pending": {"type": "bool", "default": False},
    "enabled": {"type": "bool", "default": True},
    "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "restart": {"type": "str", "choices": ["needed", "never", "always"], "default": "needed"},
    "settle": {"type": "float", "default": 3},
    "smoke_test": {
        "type": "dict",
        "options": {
            "workers": {"type": "list", "elements": "str", "required": True},
            "count": {"type": "int", "default": 6},
            "timeout": {"type": "float", "default": 30},
            "env_file": {"type": "path", "default": "/etc/celery/celery.env"},
            "python": {"type": "path", "default": "/opt/celery/current/bin/python"},
        },
    },
}
UNIT_DIRECTORY = "/etc/systemd/system"
UNIT_OWNER = (0, 0)
UNIT_MODE = 0o644
MARKER = "Managed by taskqueue.stack"
# systemd.unit(5): these characters, at most 255 in all.
_NAME = re.compile(r"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]+)?\.service")


class ServiceError(Exception):
    """Something a person has to put right; the message says what and how."""

    def __init__(self, message: str, result: dict | None = None) -> None:
        super().__init__(message)
        self.result = result or {}


@dataclass
class Unit:
    """A wanted unit: its file as found, its state, and what has to be done."""

    name: str
    content: str
    found: str | None
    write: bool
    digest: str
    state: UnitState
    enable: bool = False
    start: bool = False
    restart: bool = False
    stop: bool = False

    @property
    def path(self) -> str:
        return os.path.join(UNIT_DIRECTORY, self.name)

    def report(self) -> dict:
        return {
            "name": self.name,
            "changed": self.write or self.enable or self.start or self.restart or self.stop,
            "written": self.write,
            "enabled": self.enable,
            "started": self.start,
            "restarted": self.restart,
            "stopped": self.stop,
            "active_state": self.state.active,
            "pid": self.state.pid,
        }


def validate(params: dict) -> None:
    """What types cannot say."""
    names = [unit["name"] for unit in params["units"]]
    for name in names:
        if not _NAME.fullmatch(name) or len(name) > 255:
            raise ServiceError(f"units: {name!r} is no name of a service: letters, digits and any of : _ . - \\, at most one @, ending in .service")
        if names.count(name) > 1:
            raise ServiceError(f"units: {name} is named twice")
        if name in params["absent"]:
            raise ServiceError(f"absent: {name} is also in units: leave it out of one of them")
        if params["pattern"] and not fnmatch.fnmatchcase(name, params["pattern"]):
            raise ServiceError(f"units: {name} does not match pattern {params['pattern']!r}, so it would not be removed when it is taken out")
    for unit in params["units"]:
        if unit["content"] is None:
            continue
        lines = [line.strip() for line in unit["content"].splitlines()]
        if MARKER not in unit["content"]:
            raise ServiceError(f"units: the content of {unit['name']} lacks a comment with the words {MARKER!r}")
        if params["enabled"] and "[Install]" not in lines:
            raise ServiceError(f"units: {unit['name']} has no [Install] section, so it cannot be enabled: add one, or set enabled to false")
    if params["pattern"] and ("/" in params["pattern"] or not params["pattern"].endswith(".service")):
        raise ServiceError(f"pattern: {params['pattern']!r} must match names of services, such as celery-worker@*.service")
    if params["smoke_test"]:
        validate_smoke_test(params)


def validate_smoke_test(params: dict) -> None:
    test = params["smoke_test"]
    if params["state"] != "started":
        raise ServiceError("smoke_test: units that are stopped have no workers to prove: leave smoke_test out, or set state to started")
    if not test["workers"]:
        raise ServiceError("smoke_test: workers is empty, so nothing would be proven: name a worker, or leave smoke_test out")
    for name in test["workers"]:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", name):
            raise ServiceError(f"smoke_test: {name!r} is not the name of a worker: write NAME@HOST")
    if test["count"] < 1:
        raise ServiceError(f"smoke_test: count is {test['count']}: write 1 or more")
    if test["timeout"] <= 0:
        raise ServiceError(f"smoke_test: timeout is {test['timeout']:g} seconds: write more than 0")


def read_own_unit(path: str) -> str | None:
    """The text of a unit file that this collection wrote, None if there is no file."""
    name = os.path.basename(path)
    if os.path.islink(path):
        target = os.readlink(path)
        remedy = f"unmask it (systemctl unmask {name})" if target == "/dev/null" else "remove the link"
        raise ServiceError(f"{path} is a link to {target}, so it is not ours: {remedy}, or choose another name")
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            text = handle.read()
    except FileNotFoundError:
        return None
    if MARKER not in text:
        raise ServiceError(f"{path} was not written by this collection: move it away, or choose another name")
    return text


def install_section(content: str) -> str:
    """What decides where a unit gets linked when it is enabled."""
    return re.split(r"^\[", content.partition("\n[Install]\n")[2], flags=re.MULTILINE)[0].strip()


def stale_units(pattern: str | None, absent: list[str], wanted: set[str]) -> list[str]:
    """Units of ours that match the pattern, or are named, and are not wanted any more."""
    stale = []
    found = os.listdir(UNIT_DIRECTORY)
    for name in sorted({*(fnmatch.filter(found, pattern) if pattern else ()), *(set(absent) & set(found))}):
        if name not in wanted and _NAME.fullmatch(name):
            try:
                read_own_unit(os.path.join(UNIT_DIRECTORY, name))
            except (ServiceError, IsADirectoryError):
                continue
            stale.append(name)
    return stale


class Service:
    """The wanted units on this host."""

    def __init__(self, module: AnsibleModule, systemd: Systemd, process: SmokeTestProcess | None) -> None:
        self._module = module
        self._process = process
        self._params = module.params
        self._systemd = systemd
        self._refusal = ""
        self._watched = Watched(self._params["watch"])
        self._stale = stale_units(self._params["pattern"], self._params["absent"], {unit["name"] for unit in self._params["units"]})
        self._removed = [{"name": name, "content": read_own_unit(os.path.join(UNIT_DIRECTORY, name))} for name in self._stale]
        names = [unit["name"] for unit in self._params["units"]]
        self._states = systemd.show(names + self._stale)
        self._units = [self._examine(unit["name"], unit["content"]) for unit in self._params["units"]]
        self._outdated = [unit.name for unit in self._units if unit.state.is_active and self._is_outdated(unit)]
        self._reload = bool(self._stale) or any(unit.write or unit.state.needs_reload for unit in self._units)
        self._decide()

    def _examine(self, name: str, content: str | None) -> Unit:
        path = os.path.join(UNIT_DIRECTORY, name)
        found = read_own_unit(path)
        if content is None and found is None:
            raise ServiceError(f"units: there is no {path} to leave as it is: give {name} its content")
        content = found if content is None else content.rstrip("\n") + "\n"
        write = found != content
        if not write:
            status = os.stat(path)
            write = (status.st_mode & 0o7777, status.st_uid, status.st_gid) != (UNIT_MODE, *UNIT_OWNER)
        return Unit(name, content, found, write, self._watched.digest(content), self._states[name])

    def _is_outdated(self, unit: Unit) -> bool:
        if self._module.check_mode and self._params["pending"]:
            return True
        record = read_record(unit.name)
        changed = time.time() if unit.found != unit.content else max(self._watched.changed, os.stat(unit.path).st_ctime)
        return not is_up_to_date(unit.state, record, unit.digest, changed)

    def _decide(self) -> None:
        for unit in self._units:
            moved = self._params["enabled"] and unit.found is not None and install_section(unit.found) != install_section(unit.content)
            unit.enable = moved or (unit.state.file_state == "enabled") != self._params["enabled"]
            if self._params["state"] == "stopped":
                unit.stop = unit.state.is_running
            else:
                unit.start = not unit.state.is_active
                due = unit.state.is_active if self._params["restart"] == "always" else unit.name in self._outdated
                unit.restart = due and self._params["restart"] != "never"

    def run(self) -> dict:
        """Do what has to be done; the module's result. Failures carry the result so far."""
        if not self._module.check_mode:
            self._verify()
            try:
                self._apply()
            except (SystemdError, ServiceError) as error:
                raise ServiceError(str(error), self._result()) from error
        return self._prove(self._process) if self._process else self._result()

    def _verify(self) -> None:
        """Before anything is touched: a unit file that systemd refuses must not replace one that works."""
        candidates = [unit for unit in self._units if unit.found != unit.content]
        if not candidates:
            return
        with tempfile.TemporaryDirectory(dir=self._module.tmpdir) as directory:
            files = [os.path.join(directory, unit.name) for unit in candidates]
            for path, unit in zip(files, candidates):
                with open(path, "w", encoding="utf-8") as handle:
                    handle.write(unit.content)
            objections, unknown = self._systemd.verify(files)
            objections = objections.replace(directory + "/", "")
            # Known to later versions, or misspelt.
            for line in unknown:
                self._module.warn(line.replace(directory + "/", ""))
        if objections:
            raise ServiceError(f"units: systemd refuses\n{objections}")

    def _apply(self) -> None:
        systemd = self._systemd
        began = time.time()
        self._remove_stale()
        for unit in self._units:
            if unit.write:
                self._write(unit)
        if self._reload:
            systemd.systemctl("daemon-reload")
        systemd.systemctl("reenable" if self._params["enabled"] else "disable", [unit.name for unit in self._units if unit.enable])
        stopped = [unit for unit in self._units if unit.stop]
        systemd.systemctl("stop", [unit.name for unit in stopped])
        self._refresh(stopped)
        started = [unit for unit in self._units if unit.start or unit.restart]
        failed = self._start(started)
        for unit in self._units:
            settled = unit not in failed if unit in started else unit.name not in self._outdated
            if settled and unit.state.is_active:
                write_record(unit.name, unit.state.invocation, unit.digest)
        if failed:
            raise ServiceError("\n".join(self._explain(unit, began) for unit in failed))

    def _remove_stale(self) -> None:
        # The file goes last, so that an interrupted removal is found and finished by the next run.
        self._systemd.systemctl("stop", self._stale)
        self._systemd.systemctl("disable", self._stale)
        for name in self._stale:
            os.unlink(os.path.join(UNIT_DIRECTORY, name))
            remove_record(name)

    def _write(self, unit: Unit) -> None:
        descriptor, partial = tempfile.mkstemp(dir=self._module.tmpdir)
        with open(descriptor, "w", encoding="utf-8") as handle:
            handle.write(unit.content)
        self._module.atomic_move(partial, unit.path)
        os.chown(unit.path, *UNIT_OWNER)
        os.chmod(unit.path, UNIT_MODE)

    def _start(self, units: list[Unit]) -> list[Unit]:
        """Start or restart them together; those that failed."""
        if not units:
            return []
        # systemd refuses to start what was started too often of late.
        self._systemd.systemctl("reset-failed", [unit.name for unit in units if unit.state.load == "loaded"])
        try:
            self._systemd.systemctl("restart", [unit.name for unit in units])
        except SystemdError as error:
            self._refusal = str(error)
        return self._settle(units)

    def _settle(self, units: list[Unit]) -> list[Unit]:
        """Watch the units for a while; those that did not stay up. Restart= makes a process that dies at once look active."""
        deadline = time.monotonic() + self._params["settle"]
        before = {unit.name: unit.state.invocation for unit in units if unit.state.is_active}
        first = self._systemd.show([unit.name for unit in units])
        while True:
            self._refresh(units)
            failed = [
                unit
                for unit in units
                if not unit.state.is_active or unit.state.invocation not in {first[unit.name].invocation} - {before.get(unit.name)}
            ]
            if failed or time.monotonic() >= deadline:
                return failed
            time.sleep(0.25)

    def _refresh(self, units: list[Unit]) -> None:
        states = self._systemd.show([unit.name for unit in units])
        for unit in units:
            unit.state = states[unit.name]

    def _explain(self, unit: Unit, began: float) -> str:
        state = unit.state
        said = mask_urls(self._systemd.journal(unit.name, began)) or self._refusal or "(nothing)"
        return f"{unit.name} does not stay active ({state.active}, {state.result}, exit status {state.exit_status}). Its journal ends with:\n{said}"

    def _prove(self, process: SmokeTestProcess) -> dict:
        """Let tasks come back from the workers that run now; the result with what came of it."""
        if self._module.check_mode and any(unit.start or unit.restart for unit in self._units):
            # It would tell nothing about the workers that would run then.
            return self._result()
        test = self._params["smoke_test"]
        outcome = process.run(test, self._module.check_mode)
        failed = outcome.pop("failed", False)
        result = {**self._result(), "smoke_test": outcome}
        if failed:
            # Without any task sent, it is the broker that failed, for all of them.
            unproven = {task["worker"] for task in outcome["tasks"] if task["reason"]} or set(test["workers"])
            instances = tuple(f"@{worker.partition('@')[0]}.service" for worker in unproven)
            journals = [
                f"The journal of {unit.name} ends with:\n{mask_urls(self._systemd.journal(unit.name, lines=25)) or '(nothing)'}"
                for unit in self._units
                if unit.name.endswith(instances)
            ]
            raise ServiceError("\n".join([outcome["msg"], *journals]), result)
        return result

    def _result(self) -> dict:
        reports = [unit.report() for unit in self._units]
        found = [{"name": unit.name, "content": unit.found} for unit in self._units if unit.found is not None]
        result = {
            "changed": self._reload or any(report["changed"] for report in reports),
            "before": found + self._removed,
            "units": reports,
            "removed": self._stale,
            "restart_required": [unit.name for unit in self._units if unit.name in self._outdated and not (unit.restart or unit.stop)],
            "reloaded": self._reload,
        }
        if self._module._diff:
            result["diff"] = self._diff()
        return result

    def _diff(self) -> list[dict]:
        diff = [
            {"before_header": unit.path, "after_header": unit.path, "before": unit.found or "", "after": unit.content}
            for unit in self._units
            if unit.found != unit.content
        ]
        for name in self._stale:
            diff.append({"prepared": f"{name}: stopped, disabled and removed\n"})
        for unit in self._units:
            verbs = [verb for verb, due in (("started", unit.start), ("restarted", unit.restart), ("stopped", unit.stop)) if due]
            if unit.enable:
                verbs.append("enabled" if self._params["enabled"] else "disabled")
            if verbs:
                diff.append({"prepared": f"{unit.name}: {', '.join(verbs)}\n"})
        return diff


def main() -> None:
    module = AnsibleModule(ARGUMENT_SPEC, supports_check_mode=True)
    try:
        validate(module.params)
        test = module.params["smoke_test"]
        with SmokeTestProcess(test["python"]) if test else contextlib.nullcontext() as process:
            result = Service(module, Systemd(module.run_command), process).run()
    except ServiceError as error:
        module.fail_json(msg=str(error), **error.result)
    except (SystemdError, WatchError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.strerror}: {error.filename}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
