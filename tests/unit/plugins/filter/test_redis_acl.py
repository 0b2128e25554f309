# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.taskqueue.stack.plugins.filter.redis_acl import redis_acl

SHA = hashlib.sha256("pässword".encode()).hexdigest()


@pytest.mark.parametrize(
    ("user", "version", "line"),
    [
        ({"name": "default", "enabled": False}, "7.0.15", "off resetchannels"),
        ({"name": "default", "enabled": False}, "6.0.16", "off"),
        ({"name": "a", "passwords": ["pässword"]}, "8.0", f"on #{SHA} resetchannels"),
        ({"name": "a", "passwords": ["pässword"], "password_hashes": [SHA, "0" * 64]}, "8.0", f"on #{SHA} #{'0' * 64} resetchannels"),
        ({"name": "a", "nopass": True, "keys": ["*"], "channels": ["*"], "commands": ["+@all"]}, "6.2", "on nopass ~* resetchannels &* +@all"),
        ({"name": "a", "keys": ["*"], "channels": ["*"]}, "6.0.16", "on ~*"),
        ({"name": "a", "keys": ["a:*", "~b", "%R~c", "%RW~d", "%e"]}, "7.0", "on ~a:* ~b %R~c %RW~d ~%e resetchannels"),
        ({"name": "a", "channels": ["&x", "y"], "commands": ["+@all", "-get"]}, "7.0", "on resetchannels &x &y +@all -get"),
        (
            {"name": "a", "keys": ["x"], "selectors": [{"keys": ["y"], "commands": ["+get"]}, {"channels": ["z"]}]},
            "7.0",
            "on ~x resetchannels (~y resetchannels +get) (resetchannels &z)",
        ),
        ({"name": "a", "keys": None, "passwords": None, "selectors": None}, "7.0", "on resetchannels"),
    ],
)
def test_the_line_of_a_user(user: dict, version: str, line: str) -> None:
    assert redis_acl([user], version) == f"user {user['name']} {line}\n"


def test_users_that_are_absent_have_no_line() -> None:
    users = [{"name": "a", "state": "absent"}, {"name": "b", "state": "present"}]
    assert redis_acl(users, "7.0") == "user b on resetchannels\n"
