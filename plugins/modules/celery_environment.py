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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._environment_file import EnvironmentProblem, as_text, write_environment
from ansible_collections.taskqueue.stack.plugins.module_utils._masking import MASK
from ansible_collections.taskqueue.stack.plugins.module_utils._named_files import FILES, FileProblem, named_files


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
        files = named_files(module, module.params["files"])
    except FileProblem as error:
        module.fail_json(msg=str(error))
    # Ansible would mask every value wherever it occurs in the result, also a "1" or a "celery".
    module.no_log_values.clear()
    variables = {str(name): as_text(value) for name, value in module.params["variables"].items()}
    module.params["variables"] = dict.fromkeys(variables, MASK)
    try:
        result = write_environment(module, module.params, variables, files, module.params["backup"])
    except EnvironmentProblem as error:
        module.fail_json(msg=str(error))
    # One difference, where only the file itself can have one.
    if len(result["diff"]) == 1:
        result["diff"] = result["diff"][0]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
