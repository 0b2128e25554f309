# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.taskqueue.stack.plugins.filter.redis_user_errors import redis_user_errors

FINE = {"name": "a", "passwords": ["hunter22"]}


@pytest.mark.parametrize(
    ("users", "version"),
    [
        ([], "6.0.16"),
        ([FINE, {"name": "b", "password_hashes": ["0123456789abcdef" * 4]}, {"name": "c", "enabled": False}], "6.0.16"),
        ([{**FINE, "channels": ["x"]}], "6.2.14"),
        ([{**FINE, "keys": ["%R~a"], "selectors": [{"keys": ["b"], "commands": ["+get"]}]}], "7.0.15"),
        ([{**FINE, "commands": ["+@all", "-@dangerous", "+config|get", "-FLUSHALL", "allcommands", "+json.get"]}], "8.0.2"),
        ([{"name": "a", "nopass": True}], "7.0.15"),
        # An entry that is absent may stand there as it was.
        ([FINE, {"name": "a", "state": "absent"}], "7.0.15"),
    ],
)
def test_what_redis_takes(users: list, version: str) -> None:
    assert redis_user_errors(users, version) == []


@pytest.mark.parametrize(
    ("users", "version", "words"),
    [
        ([FINE, FINE], "7.0.15", ["a more than once"]),
        ([{**FINE, "name": "celery"}], "7.0.15", ["celery more than once", "redis_celery_user"]),
        ([{**FINE, "name": "default"}], "7.0.15", ["default", "redis_password", "redis_default_user_enabled"]),
        ([{**FINE, "name": "a b"}], "7.0.15", ['"a b"', "without spaces"]),
        ([{**FINE, "name": ""}], "7.0.15", ['the name ""']),
        ([{"name": "a", "passwords": [""]}], "7.0.15", ["empty password for a"]),
        ([{"name": "a"}], "7.0.15", ["no password for a", "enabled: false"]),
        ([{**FINE, "nopass": True}], "7.0.15", ["passwords and nopass for a"]),
        ([{"name": "a", "nopass": True}], "7.0.15", ["nopass for a", "0.0.0.0", "give a passwords"]),
        ([{"name": "a", "password_hashes": ["hunter22"]}], "7.0.15", ["password_hashes of a", "64 digits"]),
        ([{**FINE, "channels": ["x"]}], "6.0.16", ["channels for a", "6.2", "6.0.16"]),
        ([{**FINE, "selectors": [{"keys": ["x"]}]}], "6.2.14", ["selectors for a", "7.0", "6.2.14"]),
        ([{**FINE, "keys": ["%R~x"]}], "6.2.14", ["reading", "a", "7.0"]),
        ([{**FINE, "keys": ["a b"]}], "7.0.15", ["white space among the keys of a"]),
        ([{**FINE, "channels": [""]}], "7.0.15", ["empty rule", "channels of a"]),
        ([{**FINE, "commands": ["get"]}], "7.0.15", ['"get" among the commands of a', "+command"]),
        ([{**FINE, "commands": [">secret"]}], "7.0.15", ["among the commands of a"]),
        ([{**FINE, "selectors": [{"commands": ["get"]}]}], "7.0.15", ['"get" among the commands of a']),
    ],
)
def test_what_is_wrong_is_named_without_passwords(users: list, version: str, words: list[str]) -> None:
    (error,) = redis_user_errors(users, version, taken=["celery", ""], open_to=["0.0.0.0"])
    assert [word for word in words if word not in error] == []
    assert "hunter22" not in error
