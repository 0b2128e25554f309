# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the ACL file of a list of users."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_acl
short_description: Write the ACL file for a list of users
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Turns a list of users into the text of an ACL file for a version of Redis, passwords as hashes.
  - What a user may do is what is said, and nothing else. Publish and subscribe have rules from Redis 6.2 on.
  - A user with C(state) V(absent) gets no line. Redis then does not know that user.
options:
  _input:
    description: The users. Redis needs to be told of the user C(default), too, or else lets everybody in as that one.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The user's name.
        type: str
        required: true
      state:
        description: Whether there is such a user.
        type: str
        choices: [present, absent]
        default: present
      enabled:
        description: Whether the user can log in.
        type: bool
        default: true
      passwords:
        description: Passwords, each of which is valid.
        type: list
        elements: str
      password_hashes:
        description: SHA-256 hashes of further passwords, in hexadecimal.
        type: list
        elements: str
      nopass:
        description: Let the user in with any password.
        type: bool
        default: false
      keys:
        description: Patterns of keys; from 7.0 on also with a permission before them, for example V(%R~cache:*).
        type: list
        elements: str
      channels:
        description: Patterns of channels to publish to and subscribe to.
        type: list
        elements: str
      commands:
        description: Commands and categories to allow and to forbid, in this order, for example V(+get) or V(-@dangerous).
        type: list
        elements: str
      selectors:
        description: Further sets of C(keys), C(channels) and C(commands), each by itself (Redis 7.0 and newer).
        type: list
        elements: dict
  version:
    description: Version of Redis, for example V(7.0.15).
    type: str
    required: true
positional: version
"""

EXAMPLES = r"""
- name: Show an ACL file
  ansible.builtin.debug:
    msg: "{{ users | taskqueue.stack.redis_acl('7.0.15') }}"
  vars:
    users:
      - {name: default, enabled: false}
      - {name: metrics, passwords: ["{{ vault_metrics_password }}"], commands: [+info, +ping]}
  # user default off resetchannels
  # user metrics on #5e88... resetchannels +info +ping
"""

RETURN = r"""
_value:
  description: The text of the file, a line for each user.
  type: str
"""

import hashlib
import re
from collections.abc import Iterable, Mapping


def with_sign(sign: str, pattern: str) -> str:
    """The pattern as a rule, when it is none yet: `%R~cache:*` and `~cache:*` are."""
    return pattern if re.match(rf"(%[RWrw]+)?{sign}", pattern) else sign + pattern


def rules(rights: Mapping, channels: bool) -> list[str]:
    """The rules for keys, channels and commands, of a user or a selector that is new."""
    found = [with_sign("~", str(key)) for key in rights.get("keys") or []]
    if channels:
        # Whether a new one may use every channel or none depends on the version and on acl-pubsub-default.
        found += ["resetchannels", *(with_sign("&", str(channel)) for channel in rights.get("channels") or [])]
    return found + [str(command) for command in rights.get("commands") or []]


def line(user: Mapping, version: str) -> str:
    """The line of one user."""
    channels = tuple(map(int, re.findall(r"\d+", version)[:2])) >= (6, 2)
    hashes = [hashlib.sha256(str(password).encode("utf-8", "surrogateescape")).hexdigest() for password in user.get("passwords") or []]
    hashes += [str(given) for given in user.get("password_hashes") or []]
    words = ["user", str(user["name"]), "on" if user.get("enabled", True) else "off"]
    words += (["nopass"] if user.get("nopass") else []) + [f"#{given}" for given in dict.fromkeys(hashes)]
    words += rules(user, channels)
    return " ".join(words + [f"({' '.join(rules(selector, channels))})" for selector in user.get("selectors") or []])


def redis_acl(users: Iterable[Mapping], version: str) -> str:
    """The text of the ACL file."""
    return "".join(f"{line(user, version)}\n" for user in users if user.get("state", "present") == "present")


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"redis_acl": redis_acl}
