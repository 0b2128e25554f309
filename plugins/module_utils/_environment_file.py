# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment file of Celery units, with the files that it names: read alike by systemd, a shell and shlex."""

from __future__ import annotations

import json
import os
import re
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ._masking import MASK, Masker, value_secrets
from ._named_files import NamedFile
from .celery_client import ClientError, read_env_file

_HEADER = "# Managed by taskqueue.stack: change the inventory, not this file.\n"


class EnvironmentProblem(Exception):
    """What a person has to put right."""


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _problem(variables: dict[str, str]) -> str:
    """What systemd or a shell could not read, or nothing."""
    for name, value in variables.items():
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            return f"variables: {name!r} is no name of a variable: write letters, digits and underscores, no digit first."
        if re.search("[\0\r\n]", value):
            return f"variables: the value of {name} has a line break or a NUL: systemd reads one line a variable."
    return ""


def _render(variables: dict[str, str]) -> str:
    """Single quotes are what systemd, a shell and shlex agree on, and double quotes around an apostrophe: systemd reads a quote
    after a backslash outside of quotes as the beginning of a plain value."""
    quoted = {name: value.replace("'", "'\"'\"'") for name, value in variables.items()}
    return _HEADER + "".join(f"{name}='{value}'\n" for name, value in quoted.items())


def _shown(variables: dict[str, str], other: dict[str, str]) -> str:
    """One side of the difference, without secrets."""
    lines = []
    for name, value in variables.items():
        text = Masker(value_secrets(value))(value) if name.startswith("CELERY_") else MASK
        hidden = MASK in text and name in other and other[name] != value
        lines.append(f"{name}='{text}'{' (another value)' if hidden else ''}\n")
    return "".join(lines)


def write_environment(module: AnsibleModule, attributes: dict, variables: dict[str, str], files: list[NamedFile], backup: bool = False) -> dict:
    """Bring the file, and those that it names, to what is wanted; what a module says of that.

    `attributes` are the common ones of a file: path, owner, group and mode, and what else Ansible's file modules have.
    """
    path, owner, group = attributes["path"], attributes["owner"], attributes["group"]
    problem = _problem(variables)
    if problem:
        raise EnvironmentProblem(problem)
    content = _render(variables)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = file.read()
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise EnvironmentProblem(f"path: cannot read {path}: {error.strerror}.") from error
    try:
        before = read_env_file(path) if found else {}
    except ClientError:
        before = {}

    os.umask(0o077)
    directory = os.path.dirname(path)
    if not os.path.isdir(directory) and not module.check_mode:
        try:
            os.makedirs(directory)
            os.chmod(directory, 0o755)
        except OSError as error:
            raise EnvironmentProblem(f"path: cannot create {directory}: {error.strerror}.") from error
    outdated = [file for file in files if file.differs]
    differences = [file.difference() for file in outdated]
    # Before the environment, which names them.
    for file in outdated if not module.check_mode else []:
        try:
            file.install(module, owner, group)
        except OSError as error:
            raise EnvironmentProblem(f"files: cannot write {file.path}: {error.strerror}.") from error
    changed = found != content
    kept = {"backup_file": f"{path}.previous"} if changed and found is not None and backup else {}
    if changed and not module.check_mode:
        try:
            if kept:
                module.preserved_copy(path, kept["backup_file"])
            handle, temporary = tempfile.mkstemp(dir=directory)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
        except OSError as error:
            raise EnvironmentProblem(f"path: cannot write {path}: {error.strerror}.") from error
        module.atomic_move(temporary, path)
    if os.path.exists(path):
        changed = module.set_fs_attributes_if_different(module.load_file_common_arguments(attributes), changed)
    corrected = [file for file in files if file.set_attributes(module, owner, group)]
    environment = {"before_header": path, "after_header": path, "before": _shown(before, variables), "after": _shown(variables, before)}
    return {"changed": bool(changed or outdated or corrected), "path": path, "diff": [environment, *differences], **kept}
