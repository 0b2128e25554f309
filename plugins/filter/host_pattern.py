# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a play by groups, some of which an inventory may not have."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_pattern
short_description: Name the hosts of groups, as far as the inventory has these groups
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - For C(hosts) of a play. Ansible warns of a group that the inventory does not have.
options:
  _input:
    description: Names of groups.
    type: list
    elements: str
    required: true
  groups:
    description: The groups there are, as the variable C(groups) has them.
    type: dict
    required: true
positional: groups
"""

EXAMPLES = r"""
- name: Run beat, if anybody does
  hosts: "{{ ['celery_beat'] | taskqueue.stack.host_pattern(groups) }}"
"""

RETURN = r"""
_value:
  description: A pattern of hosts. One that no host matches when none of the groups is there.
  type: str
  sample: celery_worker:celery_beat
"""

from collections.abc import Iterable, Mapping


def host_pattern(names: Iterable[str], groups: Mapping) -> str:
    """The groups that there are, joined; or nobody."""
    return ":".join(name for name in names if name in groups) or "all:!all"


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"host_pattern": host_pattern}
