# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.taskqueue.stack.plugins.filter.celery_schedule_errors import FIELDS, celery_schedule_errors, expand
from celery.schedules import crontab


def errors(**entry: object) -> list[str]:
    return celery_schedule_errors({"nightly": {"task": "shop.report", "schedule": 60, **entry}})


@pytest.mark.parametrize("entry", [
    {}, {"schedule": 0.5}, {"schedule": {"minute": "*/15"}}, {"args": [1], "kwargs": {"a": 1}, "queue": "reports", "options": {"priority": 0}},
])
def test_what_beat_takes(entry: dict) -> None:
    assert errors(**entry) == []


@pytest.mark.parametrize("field, value", [
    ("minute", 0), ("minute", "59"), ("minute", "*/15"), ("minute", "1,13,30-45,50-59/2"), ("hour", "0,8-17/2"), ("hour", "22-3"),
    ("day_of_week", "mon-fri"), ("day_of_week", "Sunday"), ("day_of_week", "fri-mon"), ("day_of_month", "2-30/2"),
    ("month_of_year", "*/3"), ("month_of_year", "1-6"), ("day_of_month", 31),
])
def test_a_field_means_what_celery_makes_of_it(field: str, value: object) -> None:
    assert expand(field, value) == getattr(crontab(**{field: value}), field)


@pytest.mark.parametrize("field, value", [
    ("minute", 60), ("minute", -1), ("hour", 24), ("hour", "noon"), ("day_of_week", 7), ("day_of_month", 0), ("day_of_month", "32"),
    ("month_of_year", 13), ("minute", "*/0"), ("minute", "5/10"), ("minute", "1,,2"), ("minute", ""), ("minute", "1-"), ("minute", True),
    ("minute", [1, 2]), ("minute", None), ("minute", "* *"),
])
def test_fields_that_are_none(field: str, value: object) -> None:
    message, = errors(schedule={field: value})
    assert message.startswith(f"celery_beat_schedule, nightly: {field} is ")
    assert str(FIELDS[field][1]) in message


@pytest.mark.parametrize("entry, words", [
    ({"schedule": "hourly"}, ["schedule is \"hourly\"", "seconds", "crontab"]),
    ({"schedule": 0}, ["more than 0"]),
    ({"schedule": True}, ["seconds"]),
    ({"schedule": {}}, ["no field"]),
    ({"schedule": {"minutes": 5}}, ["minutes", "minute, hour"]),
    ({"schedule": {"day_of_month": 31, "month_of_year": "2,4"}}, ["never be sent"]),
    ({"task": ""}, ["task is missing"]),
    ({"task": None}, ["task is missing"]),
    ({"args": "one"}, ["args is no list"]),
    ({"kwargs": [1]}, ["kwargs is no dictionary"]),
    ({"options": 5}, ["options is no dictionary"]),
    ({"queue": "two words"}, ["two words"]),
    ({"taks": "x"}, ["taks is no key", "task, schedule"]),
])
def test_what_is_wrong_is_named(entry: dict, words: list[str]) -> None:
    message = " ".join(errors(**entry))
    assert "celery_beat_schedule, nightly: " in message
    assert [word for word in words if word not in message] == []


def test_what_is_missing_is_named() -> None:
    assert ["task is missing" in error or "schedule is missing" in error for error in celery_schedule_errors({"a": {}})] == [True, True]
    assert "no dictionary" in celery_schedule_errors({"a": 5})[0]
    with pytest.raises(AnsibleFilterError):
        celery_schedule_errors([])
