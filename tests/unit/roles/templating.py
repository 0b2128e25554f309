# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of the roles, as Ansible evaluates them."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible import template
from ansible.parsing.dataloader import DataLoader

ROLES = Path(__file__).parents[3] / "roles"


def trusted(value: object) -> object:
    """What may be an expression: from ansible-core 2.19 on, not every text is."""
    if isinstance(value, dict):
        return {key: trusted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [trusted(each) for each in value]
    return template.trust_as_template(value) if isinstance(value, str) and hasattr(template, "trust_as_template") else value


def load(name: str) -> object:
    """A file of the roles."""
    return yaml.safe_load((ROLES / name).read_text(encoding="utf-8"))


def evaluate(expression: object, *files: str, **variables: object) -> object:
    """What it comes to, with the variables of these files of the roles and over them the others. A host's name is ``redis1`` unless they say so."""
    known = {"inventory_hostname": "redis1", "groups": {}, "hostvars": {}, "group_names": []}
    for name in files:
        known.update(load(name))
    return template.Templar(loader=DataLoader(), variables=trusted({**known, **variables})).template(trusted(expression))


def holds(condition: object, *files: str, **variables: object) -> bool:
    """Whether a task with this ``when`` runs."""
    conditions = condition if isinstance(condition, list) else [condition]
    return all(evaluate(f"{{{{ ({each}) | bool }}}}", *files, **variables) for each in conditions)


def task(name: str, title: str) -> dict:
    """The task of this title."""
    (found,) = (each for each in load(name) if each["name"] == title)
    return found
