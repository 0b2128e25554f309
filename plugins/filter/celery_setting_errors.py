# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what is wrong with a dictionary of Celery settings before any host is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_setting_errors
short_description: Find Celery settings that are misspelt, of a wrong type, unsafe, or the business of another variable
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Compares a dictionary of settings with the names and types that Celery 5.6 and 5.7 know. Celery itself ignores a name that it does
    not know.
  - Text that says a number, or true or false, is one, as templates deliver them before ansible-core 2.19.
  - Finds formats by which whoever can write to Redis could run code, such as pickle.
options:
  _input:
    description: The settings, by their names in lower case.
    type: dict
    required: true
  others:
    description: Names that are none of Celery's own, such as those of an extension.
    type: list
    elements: str
    default: []
positional: others
seealso:
  - plugin: taskqueue.stack.celery_settings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Stop before anything changes
  ansible.builtin.assert:
    that: errors | length == 0
    fail_msg: "{{ errors | join(' ') }}"
  vars:
    errors: "{{ {'task_time_limt': 60} | taskqueue.stack.celery_setting_errors }}"
"""

RETURN = r"""
_value:
  description: One sentence for each error, with the setting, what is wrong and what to write. Empty when all is well.
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.taskqueue.stack.plugins.module_utils import _celery_settings


def celery_setting_errors(settings: Mapping, others: Sequence[str] = ()) -> list[str]:
    """One sentence for each setting that Celery would not take, or that would not be safe."""
    if not isinstance(settings, Mapping):
        raise AnsibleFilterError(f"celery_setting_errors takes a dictionary of settings, not {type(settings).__name__}.")
    return _celery_settings.read(settings, others)[1]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"celery_setting_errors": celery_setting_errors}
