#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_environment
short_description: Write the environment file that all Celery units of a host read, and the files that it names
version_added: "0.1.0"
description:
  - Writes variables to a file that systemd (C(EnvironmentFile=)), a POSIX shell and Python's C(shlex) all read alike.
  - The values may be secrets. They are never shown or logged, and the difference says of each variable whether it changed.
  - The directory is created when it is missing.
options:
  path:
    description: The file.
    type: path
    default: /etc/celery/celery.env
  variables:
    description:
      - Name to value. A dictionary or a list is written as JSON, a boolean as V(true) or V(false).
      - A value is one line. Every character but line breaks and NUL works.
    type: dict
    required: true
  backup:
    description:
      - Keep what the file held before as PATH.previous, for the same readers, when it changes.
    type: bool
    default: false
    version_added: "0.2.0"
  files:
    description:
      - Files that the variables name, such as the certificates of TLS. They get the owner and group of O(path). A missing directory is
        created.
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
        description: A file on the host to copy. Give this or O(files[].content), and leave the other out or empty.
        type: path
      mode:
        description: Its mode.
        type: str
        default: "0600"
extends_documentation_fragment:
  - ansible.builtin.files
attributes:
  check_mode:
    description: Says whether the file would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows names, settings and addresses. Passwords, and all values of variables that are not Celery's own, are masked.
    support: full
author:
  - The taskqueue.stack maintainers (@taskqueue)
"""

EXAMPLES = r"""
- name: Tell the workers where the broker is
  taskqueue.stack.celery_environment:
    variables:
      CELERY_APP: shop.celery:app
      CELERY_BROKER_URL: "{{ {'host': 'redis1', 'password': redis_password} | taskqueue.stack.redis_url }}"
      CELERY_SETTINGS:
        worker_direct: true
    files:
      - {path: /etc/celery/tls/ca.crt, content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}", mode: "0640"}
    owner: root
    group: celery
    mode: "0640"
"""

RETURN = r"""
path:
  description: The file.
  type: str
  returned: success
  sample: /etc/celery/celery.env
backup_file:
  description: Where what the file held before is kept.
  type: str
  returned: when O(backup) is set and the content of a file changed
  version_added: "0.2.0"
  sample: /etc/celery/celery.env.previous
"""

import json
import os
import re
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._masking import MASK, Masker, value_secrets
from ansible_collections.taskqueue.stack.plugins.module_utils._named_files import FILES, FileProblem, named_files
from ansible_collections.taskqueue.stack.plugins.module_utils.celery_client import ClientError, read_env_file

HEADER = "# Managed by taskqueue.stack: change the inventory, not this file.\n"


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def problem(variables: dict[str, str]) -> str:
    """What systemd or a shell could not read, or nothing."""
    for name, value in variables.items():
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            return f"variables: {name!r} is no name of a variable: write letters, digits and underscores, no digit first."
        if re.search("[\0\r\n]", value):
            return f"variables: the value of {name} has a line break or a NUL: systemd reads one line a variable."
    return ""


def render(variables: dict[str, str]) -> str:
    """Single quotes are what systemd, a shell and shlex agree on, and double quotes around an apostrophe: systemd reads a quote
    after a backslash outside of quotes as the beginning of a plain value."""
    quoted = {name: value.replace("'", "'\"'\"'") for name, value in variables.items()}
    return HEADER + "".join(f"{name}='{value}'\n" for name, value in quoted.items())


def shown(variables: dict[str, str], other: dict[str, str]) -> str:
    """One side of the difference, without secrets."""
    lines = []
    for name, value in variables.items():
        text = Masker(value_secrets(value))(value) if name.startswith("CELERY_") else MASK
        hidden = MASK in text and name in other and other[name] != value
        lines.append(f"{name}='{text}'{' (another value)' if hidden else ''}\n")
    return "".join(lines)


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/celery/celery.env"},
            "variables": {"type": "dict", "required": True, "no_log": True},
            "backup": {"type": "bool", "default": False},
            "files": FILES,
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    try:
        files = named_files(module)
    except FileProblem as error:
        module.fail_json(msg=str(error))
    # Ansible would mask every value wherever it occurs in the result, also a "1" or a "celery".
    module.no_log_values.clear()
    path = module.params["path"]
    variables = {str(name): as_text(value) for name, value in module.params["variables"].items()}
    module.params["variables"] = dict.fromkeys(variables, MASK)
    if problem(variables):
        module.fail_json(msg=problem(variables))

    content = render(variables)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = file.read()
    except FileNotFoundError:
        found = None
    except OSError as error:
        module.fail_json(msg=f"path: cannot read {path}: {error.strerror}.")
    try:
        before = read_env_file(path) if found else {}
    except ClientError:
        before = {}

    os.umask(0o077)
    owner, group = module.params["owner"], module.params["group"]
    directory = os.path.dirname(path)
    if not os.path.isdir(directory) and not module.check_mode:
        try:
            os.makedirs(directory)
            os.chmod(directory, 0o755)
        except OSError as error:
            module.fail_json(msg=f"path: cannot create {directory}: {error.strerror}.")
    outdated = [file for file in files if file.differs]
    differences = [file.difference() for file in outdated]
    # Before the environment, which names them.
    for file in outdated if not module.check_mode else []:
        try:
            file.install(module, owner, group)
        except OSError as error:
            module.fail_json(msg=f"files: cannot write {file.path}: {error.strerror}.")
    changed = found != content
    backup = {"backup_file": f"{path}.previous"} if changed and found is not None and module.params["backup"] else {}
    if changed and not module.check_mode:
        try:
            if backup:
                module.preserved_copy(path, backup["backup_file"])
            handle, temporary = tempfile.mkstemp(dir=directory)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
        except OSError as error:
            module.fail_json(msg=f"path: cannot write {path}: {error.strerror}.")
        module.atomic_move(temporary, path)
    if os.path.exists(path):
        changed = module.set_fs_attributes_if_different(module.load_file_common_arguments(module.params), changed)
    corrected = [file for file in files if file.set_attributes(module, owner, group)]
    environment = {"before_header": path, "after_header": path, "before": shown(before, variables), "after": shown(variables, before)}
    diff = [environment, *differences] if differences else environment
    module.exit_json(changed=bool(changed or outdated or corrected), path=path, diff=diff, **backup)


if __name__ == "__main__":
    main()
