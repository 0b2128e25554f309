# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that are not what argument_specs say."""

from __future__ import annotations

import pytest

from ansible_collections.taskqueue.stack.plugins.filter.argument_errors import argument_errors

RIGHTS = {"keys": {"type": "list"}}
OPTIONS = {
    "bind": {"type": "list", "elements": "str"},
    "config": {"type": "dict"},
    "password": {"type": "str"},
    "port": {"type": "int"},
    "flavor": {"type": "str", "choices": ["redis", "valkey"]},
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str"}, **RIGHTS, "selectors": {"type": "list", "elements": "dict", "options": RIGHTS}},
    },
    "extra": {"type": "dict", "options": {"queues": {"type": "list"}}},
}


def test_what_is_right_gives_nothing() -> None:
    users = [{"name": "shop", "keys": ["shop:*"], "selectors": [{"keys": ["a"]}]}]
    assert argument_errors({"bind": ["::1"], "config": {"a": 1}, "password": "text", "users": users, "extra": {"queues": []}}, OPTIONS) == []
    assert argument_errors({}, OPTIONS) == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"bind": "0.0.0.0"}, "bind is text: write a list"),
        ({"config": "a=1"}, "config is text: write a dictionary"),
        ({"users": "name=shop"}, "users is text: write a list"),
        ({"users": [{"name": "shop", "keys": "s3cret:*"}]}, "users (shop): keys is text: write a list"),
        ({"users": [{"keys": "shop:*"}]}, "users (1): keys is text: write a list"),
        ({"users": [{"name": "shop", "selectors": [{}, {"keys": "b"}]}]}, "users (shop): selectors (2): keys is text: write a list"),
        ({"extra": {"queues": "mail"}}, "extra: queues is text: write a list"),
        ({"extra": 5}, "extra is no dictionary: write a dictionary"),
        ({"extra": ["s3cret"]}, "extra is no dictionary: write a dictionary"),
        ({"users": ["name=s3cret"]}, "users (1) is no dictionary: write a dictionary"),
        ({"users": [{"name": "shop", "selectors": [5]}]}, "users (shop): selectors (1) is no dictionary"),
    ],
)
def test_text_is_named_and_its_value_is_not(given: dict, named: str) -> None:
    (error,) = argument_errors(given, OPTIONS)
    assert error.startswith(named)
    assert "s3cret" not in error


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"port": "many"}, ["port", "int"]),
        ({"flavor": "keydb"}, ["flavor", "redis, valkey"]),
        ({"users": [{"nam": "shop"}]}, ["There is no users.nam.", "name"]),
        ({"port": "many", "flavor": "keydb"}, ["port", "flavor"]),
    ],
)
def test_types_and_choices_are_held_against_the_specification(given: dict, words: list[str]) -> None:
    said = " ".join(argument_errors(given, OPTIONS))
    assert all(word in said for word in words), said


def test_numbers_may_be_text() -> None:
    """As those of an INI inventory are, and all that a template gives before ansible-core 2.19."""
    assert argument_errors({"port": "6379", "flavor": "valkey"}, OPTIONS) == []
