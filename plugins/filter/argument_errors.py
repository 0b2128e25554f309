# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds variables of a role that are not of the type that its argument_specs say."""

from __future__ import annotations

DOCUMENTATION = r"""
name: argument_errors
short_description: Find variables of a role that are not what its argument_specs say
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - What Ansible's own check of a role's arguments finds, by Ansible's own code (types, choices, unknown suboptions), without a task of
    its own.
  - And what that check lets pass. It takes text for a list or a dictionary and splits it, in a copy of its own; the role then works with
    the text, letter by letter. An inventory in INI format and C(--extra-vars key=value) give such text. Nothing is split here either.
    Where the commas belong is for the inventory to say.
options:
  _input:
    description: The role's variables and their values.
    type: dict
    required: true
  options:
    description: What C(meta/argument_specs.yml) says of them, suboptions included.
    type: dict
    required: true
positional: options
"""

EXAMPLES = r"""
- name: Stop before anything changes
  ansible.builtin.assert:
    that: errors | length == 0
    fail_msg: "{{ errors | join(' ') }}"
  vars:
    errors: "{{ {'redis_bind': '0.0.0.0'} | taskqueue.stack.argument_errors({'redis_bind': {'type': 'list'}}) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each variable, with what to write. Empty when all is well. A value stands in it where Ansible itself shows it.
  type: list
  elements: str
"""

from collections.abc import Iterator, Mapping

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

WRITTEN = {"list": "a list: [one, two] or a line for each entry", "dict": "a dictionary: {key: value} or a line for each key"}


def errors(values: Mapping, options: Mapping, where: str = "") -> Iterator[str]:
    """The sentences, those about suboptions included."""
    for name, option in options.items():
        value, kind = values.get(name), option.get("type")
        if kind in WRITTEN and isinstance(value, str):
            yield f"{where}{name} is text: write {WRITTEN[kind]}, in YAML; with --extra-vars, as JSON."
        elif "options" in option:
            for number, entry in enumerate(value if isinstance(value, list) else [value], start=1):
                which = f" ({entry.get('name', number) if isinstance(entry, Mapping) else number})" if kind == "list" else ""
                if isinstance(entry, Mapping):
                    yield from errors(entry, option["options"], f"{where}{name}{which}: ")
                elif entry is not None:
                    yield f"{where}{name}{which} is no dictionary: write {WRITTEN['dict']}."


def plain(value: object) -> object:
    """A copy without Ansible's own containers: the validator copies what it is given, and with these the whole inventory."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def rules(options: Mapping) -> dict:
    """The part of them that is no documentation."""
    return {
        str(name): {
            key: rules(said) if key == "options" else plain(said)
            for key, said in option.items()
            if key in ("type", "elements", "choices", "required", "options")
        }
        for name, option in options.items()
    }


def argument_errors(values: Mapping, options: Mapping) -> list[str]:
    """The sentences, as a list. The validator would not see text where it has split it."""
    found = list(errors(values, options)) or ArgumentSpecValidator(rules(options)).validate(plain(values)).error_messages
    # It begins these with the names.
    return [f"There is no {message}" if ". Supported parameters include" in message else message for message in found]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"argument_errors": argument_errors}
