# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what is wrong with a list of Redis users before any host is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_user_errors
short_description: Find what a version of Redis would refuse in a list of users, and what would leave it open
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Looks through a list of users as the filter P(taskqueue.stack.redis_acl#filter) takes it.
  - It is a check ahead of time, so that a play can stop before anything is installed. Whether a command exists is proven
    later, on the installed binary.
options:
  _input:
    description: The users.
    type: list
    elements: dict
    required: true
  version:
    description: Version of Redis, for example V(7.0.15).
    type: str
    required: true
  taken:
    description: Names that others have given already.
    type: list
    elements: str
    default: []
  open_to:
    description: Addresses beyond loopback at which Redis listens. With any, each user needs a password.
    type: list
    elements: str
    default: []
positional: version
"""

EXAMPLES = r"""
- name: Stop before anything changes
  ansible.builtin.assert:
    that: errors | length == 0
    fail_msg: "{{ errors | join(' ') }}"
  vars:
    errors: "{{ [{'name': 'shop', 'commands': ['get']}] | taskqueue.stack.redis_user_errors('7.0.15') }}"
"""

RETURN = r"""
_value:
  description: One sentence for each error, with the user, what is wrong and what to write. Empty when all is well. No passwords.
  type: list
  elements: str
"""

import re
from collections.abc import Iterable, Iterator, Mapping

# Redis splits rules at white space, which no quotes keep together.
NO_RULE = re.compile(r"[\s\x00]|^$")
COMMAND = re.compile(r"[+-]@?[A-Za-z0-9_.|:-]+|allcommands|nocommands", re.IGNORECASE)
HASH = re.compile(r"[0-9a-f]{64}")


def release(version: str) -> tuple[int, ...]:
    """Its first two numbers."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def name_errors(users: list[Mapping], taken: list[str]) -> Iterator[str]:
    """What is wrong with the names."""
    names = [str(user.get("name", "")) for user in users]
    for name in dict.fromkeys(names):
        if NO_RULE.search(name):
            yield f'redis_users has the name "{name}": write one without spaces.'
        elif name == "default":
            yield (
                "redis_users names the user default, which has variables of its own: redis_password is its password, and "
                "redis_default_user_enabled: false turns it off."
            )
        elif names.count(name) + taken.count(name) > 1:
            yield f"redis_users names {name} more than once, redis_celery_user and redis_admin_user included: each name stands for one user."


def password_errors(user: Mapping, open_to: list[str]) -> Iterator[str]:
    """What is wrong with the ways to log in."""
    name, nopass = user["name"], user.get("nopass")
    passwords, hashes = user.get("passwords") or [], user.get("password_hashes") or []
    if "" in passwords:
        yield f"redis_users has an empty password for {name}: write one, or enabled: false."
    if nopass and (passwords or hashes):
        yield f"redis_users has passwords and nopass for {name}: nopass lets everybody in, whatever the passwords. Write one of the two."
    elif nopass and open_to:
        yield f"redis_users has nopass for {name}, and other hosts reach this Redis at {', '.join(open_to)}: give {name} passwords."
    if not nopass and not passwords and not hashes and user.get("enabled", True):
        yield f"redis_users has no password for {name}, so nobody could log in as that user: write passwords, password_hashes, or enabled: false."
    if any(not HASH.fullmatch(str(given)) for given in hashes):
        yield (
            f"redis_users has something else than SHA-256 hashes in password_hashes of {name}: write 64 digits from 0 to f, in lower case, "
            "as sha256sum does."
        )


def rights_errors(name: str, rights: Mapping, version: str) -> Iterator[str]:
    """What is wrong with the rules of a user or a selector."""
    for kind in ("keys", "channels", "commands"):
        if any(NO_RULE.search(str(rule)) for rule in rights.get(kind) or []):
            yield f'redis_users has an empty rule or one with white space among the {kind} of {name}: write "?" in place of a space.'
    if rights.get("channels") and release(version) < (6, 2):
        yield f"redis_users has channels for {name}, which came with Redis 6.2; here it is {version}: leave them out for this host."
    if release(version) < (7, 0) and any(str(key).startswith("%") for key in rights.get("keys") or []):
        yield f"redis_users has keys for reading or for writing alone for {name}, which came with Redis 7.0; here it is {version}: write the pattern alone."
    for command in rights.get("commands") or []:
        if re.match("[><#!]", str(command)):
            yield f"redis_users has a password among the commands of {name}: write it in passwords, or its hash in password_hashes."
        elif not COMMAND.fullmatch(str(command)) and not NO_RULE.search(str(command)):
            yield f'redis_users has "{command}" among the commands of {name}: write +command or -command, or +@category or -@category.'


def redis_user_errors(users: Iterable[Mapping], version: str, taken: Iterable[str] = (), open_to: Iterable[str] = ()) -> list[str]:
    """One sentence for each thing that is wrong."""
    present = [user for user in users if user.get("state", "present") == "present"]
    errors = list(name_errors(present, list(taken)))
    for user in present:
        errors += password_errors(user, list(open_to))
        selectors = user.get("selectors") or []
        if selectors and release(version) < (7, 0):
            errors.append(f"redis_users has selectors for {user['name']}, which came with Redis 7.0; here it is {version}: leave them out for this host.")
            selectors = []
        for rights in (user, *selectors):
            errors += rights_errors(user["name"], rights, version)
    return errors


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"redis_user_errors": redis_user_errors}
