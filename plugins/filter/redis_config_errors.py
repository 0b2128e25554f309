# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what is wrong with a dictionary of redis.conf directives before any host is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_config_errors
short_description: Find directives and values that a version of Redis or Valkey would refuse
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Compares a dictionary of C(redis.conf) directives with a table of the directives that each version of Redis and Valkey knows.
  - It is a check ahead of time, so that a play can stop before anything is installed. What it cannot know (whether a file
    exists, whether two directives go together) is proven later on the installed binary.
options:
  _input:
    description: The directives, by their names in C(redis.conf), in lower case.
    type: dict
    required: true
  version:
    description: Version of the server, for example V(7.0.15).
    type: str
    required: true
  flavor:
    description: Whether the server is Redis or Valkey.
    type: str
    choices: [redis, valkey]
    default: redis
positional: version, flavor
"""

EXAMPLES = r"""
- name: Stop before anything changes
  ansible.builtin.assert:
    that: errors | length == 0
    fail_msg: "{{ errors | join(' ') }}"
  vars:
    errors: "{{ {'maxmemory': '2 gigs'} | taskqueue.stack.redis_config_errors('7.0.15') }}"
"""

RETURN = r"""
_value:
  description: One sentence for each error, with the directive, what is wrong and what to write. Empty when all is well.
  type: list
  elements: str
"""

import difflib
import re
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directive_table import DIRECTIVES

# Redis takes a number with one of these units, in any case (redis.conf, "Note on units").
SIZE = re.compile(r"^\d+(b|k|kb|m|mb|g|gb)?%?$", re.IGNORECASE)
INTEGER = re.compile(r"^-?\d+$")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _known(spec: Mapping, version: str, flavor: str) -> bool:
    since, until = _release(spec.get("since", "0.0")), _release(spec.get("until", "999.0"))
    return spec.get("only", flavor) == flavor and since <= _release(version) < until


def _unknown(name: str, version: str, flavor: str) -> str:
    spec = DIRECTIVES.get(name)
    here = f"{flavor.capitalize()} {version}"
    if spec is None:
        known = [other for other in DIRECTIVES if _known(DIRECTIVES[other], version, flavor)]
        close = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {close[0]}?" if close else "write a directive's name as it stands in redis.conf."
        return f"redis_config names {name}, which is no directive of {here}: {remedy}"
    if _known(spec, version, flavor):
        return ""
    only = spec.get("only", flavor)
    if only != flavor:
        return f"redis_config names {name}, which only {only.capitalize()} has; here it is {here}: leave it out for this host."
    if "since" in spec and _release(version) < _release(spec["since"]):
        return f"redis_config names {name}, which came with {flavor.capitalize()} {spec['since']}; here it is {version}: leave it out for this host."
    return f"redis_config names {name}, which {flavor.capitalize()} {spec['until']} dropped; here it is {version}: leave it out for this host."


def _wrong_value(name: str, value: object, spec: Mapping) -> str:
    kind = spec.get("type", "string")
    text = str(value)
    if isinstance(value, Mapping):
        return f"redis_config has a dictionary for {name}: write one value, or a list of them."
    if isinstance(value, (list, tuple)):
        if any(isinstance(entry, (list, tuple, Mapping)) for entry in value):
            return f"redis_config has a list of lists for {name}: write each line as one string."
        text = " ".join(str(entry) for entry in value)
    if re.search(r"[\x00\r\n]", text):
        return f"redis_config has a line break in {name}: Redis reads one line a directive; write a list for a directive that repeats."
    if value is None:
        return f'redis_config has no value for {name}: write one, or "" where Redis takes an empty value.'
    if kind == "bool" and not isinstance(value, bool) and text.lower() not in ("yes", "no"):
        return f'redis_config has {name}: "{text}", which is neither yes nor no.'
    if kind != "bool" and isinstance(value, bool):
        if kind == "enum" and ("yes" if value else "no") in spec.get("choices", []):
            return ""
        return f"redis_config has yes or no for {name}, which takes {_kind_in_words(spec)}; put the value between quotes."
    if kind == "int" and not INTEGER.match(text):
        return f'redis_config has {name}: "{text}", which is no whole number.'
    if kind == "size" and not SIZE.match(text):
        return f'redis_config has {name}: "{text}": write a size as Redis does, for example 512mb or 1073741824.'
    if kind == "enum" and text.lower() not in spec.get("choices", []):
        return f'redis_config has {name}: "{text}": write one of {", ".join(spec.get("choices", []))}.'
    return ""


def _kind_in_words(spec: Mapping) -> str:
    if spec.get("type") == "enum":
        return "one of " + ", ".join(spec.get("choices", []))
    return {"int": "a whole number", "size": "a size such as 512mb"}.get(spec.get("type", ""), "text")


def redis_config_errors(config: Mapping, version: str, flavor: str = "redis") -> list[str]:
    """One sentence for each directive that this version of Redis or Valkey would refuse."""
    if not isinstance(config, Mapping):
        raise AnsibleFilterError(f"redis_config_errors takes a dictionary of directives, not {type(config).__name__}.")
    errors = []
    for name, value in config.items():
        error = _unknown(str(name), version, flavor) or _wrong_value(str(name), value, DIRECTIVES[str(name)])
        if error:
            errors.append(error)
    return errors


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"redis_config_errors": redis_config_errors}
