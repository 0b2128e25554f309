# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives Celery settings the types that Celery wants."""

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_settings
short_description: Give Celery settings the types that Celery wants
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Before ansible-core 2.19, a template in a dictionary delivers a number, or true or false, as text. Celery would take it as it is, and
    break on it later. This filter makes of it what the setting is.
  - What P(taskqueue.stack.celery_setting_errors#filter) finds an error in is left out.
options:
  _input:
    description: The settings, by their names in lower case.
    type: dict
    required: true
  others:
    description: Names that are none of Celery's own, such as those of an extension. Their values stay as they are.
    type: list
    elements: str
    default: []
positional: others
seealso:
  - plugin: taskqueue.stack.celery_setting_errors
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what a worker gets
  ansible.builtin.debug:
    msg: "{{ {'task_time_limit': '300', 'task_track_started': 'yes'} | taskqueue.stack.celery_settings }}"
"""

RETURN = r"""
_value:
  description: The settings.
  type: dict
"""

from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.taskqueue.stack.plugins.module_utils import _celery_settings


def celery_settings(settings: Mapping, others: Sequence[str] = ()) -> dict[str, object]:
    """The settings, each of the type that Celery wants."""
    if not isinstance(settings, Mapping):
        raise AnsibleFilterError(f"celery_settings takes a dictionary of settings, not {type(settings).__name__}.")
    return _celery_settings.read(settings, others)[0]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"celery_settings": celery_settings}
