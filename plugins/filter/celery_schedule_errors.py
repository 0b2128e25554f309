# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what is wrong with a schedule for Celery beat before any host is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_schedule_errors
short_description: Find what Celery beat would refuse in a schedule
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Checks what the variable C(celery_beat_schedule) holds, crontab fields included, where there is no Celery to ask.
options:
  _input:
    description:
      - The schedule, a dictionary of entries with C(task) and C(schedule), and if need be C(args), C(kwargs), C(queue), C(options).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Stop before anything changes
  ansible.builtin.assert:
    that: errors | length == 0
    fail_msg: "{{ errors | join(' ') }}"
  vars:
    errors: "{{ {'nightly': {'task': 'shop.report', 'schedule': {'hour': 25}}} | taskqueue.stack.celery_schedule_errors }}"
"""

RETURN = r"""
_value:
  description: One sentence for each error, with the entry, what is wrong and what to write. Empty when all is well.
  type: list
  elements: str
"""

import re
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError

KEYS = ("task", "schedule", "args", "kwargs", "queue", "options")
# Of each field: its first and its last number.
FIELDS = {"minute": (0, 59), "hour": (0, 23), "day_of_week": (0, 6), "day_of_month": (1, 31), "month_of_year": (1, 12)}
# Celery takes names by their first three letters (celery/utils/time.py, weekday and yearmonth).
NAMES = {
    "day_of_week": dict(zip("sun mon tue wed thu fri sat".split(), range(7))),
    "month_of_year": dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13))),
}
LONGEST_MONTHS = dict(zip(range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)))
PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]+))?")


def _number(field: str, text: str) -> int:
    low, high = FIELDS[field]
    number = int(text) if re.fullmatch("[0-9]+", text) else NAMES.get(field, {}).get(text[:3].lower(), -1)
    if not low <= number <= high:
        raise ValueError(text)
    return number


def expand(field: str, value: object) -> set[int]:
    """The numbers that a crontab field stands for; a ValueError when it is none."""
    low, high = FIELDS[field]
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(value)
    numbers: set[int] = set()
    for part in str(value).split(","):
        match = PART.fullmatch(part)
        if not match or match["step"] and (int(match["step"]) < 1 or match["first"] and not match["last"]):
            raise ValueError(part)
        first = _number(field, match["first"]) if match["first"] else low
        last = _number(field, match["last"]) if match["last"] else (first if match["first"] else high)
        # Over the end and on from the beginning, as in fri-mon.
        span = [*range(first, last + 1)] if first <= last else [*range(first, high + 1), *range(low, last + 1)]
        numbers |= set(span[:: int(match["step"] or 1)])
    return numbers


def _crontab_errors(schedule: Mapping) -> list[str]:
    errors = [f"schedule has {field}, which is no field of a crontab: write {', '.join(FIELDS)}." for field in schedule if field not in FIELDS]
    numbers = {}
    for field in FIELDS:
        try:
            numbers[field] = expand(field, schedule.get(field, "*"))
        except ValueError:
            low, high = FIELDS[field]
            names = f", or names as {' and '.join(list(NAMES[field])[:2])}" if field in NAMES else ""
            errors.append(
                f'{field} is "{schedule[field]}": write numbers from {low} to {high}{names}, as 5, "1,15", "{low}-{high}", "*", "*/2" or "{low}-{high}/2".'
            )
    if not schedule:
        errors.append("schedule has no field, which would be every minute: write that as minute: '*'.")
    elif not errors and not any(day <= LONGEST_MONTHS[month] for month in numbers["month_of_year"] for day in numbers["day_of_month"]):
        errors.append("no month of month_of_year has a day of day_of_month, so it would never be sent: change one of them.")
    return errors


def _schedule_errors(schedule: object) -> list[str]:
    if isinstance(schedule, Mapping):
        return _crontab_errors(schedule)
    if isinstance(schedule, bool) or not isinstance(schedule, (int, float)):
        return [f'schedule is "{schedule}": write a number of seconds, as 300, or fields of a crontab, as {{minute: "*/15"}}.']
    return [] if schedule > 0 else [f"schedule is {schedule}: write more than 0 seconds."]


def _entry_errors(entry: object) -> list[str]:
    if not isinstance(entry, Mapping):
        return ["it is no dictionary: write task and schedule under the name."]
    errors = [f"{key} is no key of an entry: write {', '.join(KEYS)}." for key in entry if key not in KEYS]
    task, queue = entry.get("task"), entry.get("queue", "default")
    if not isinstance(task, str) or not re.fullmatch(r"[^\s]+", task):
        errors.append("task is missing or no name: write the task's name as its worker knows it, as shop.tasks.report.")
    errors += _schedule_errors(entry["schedule"]) if "schedule" in entry else ["schedule is missing: write seconds, or fields of a crontab."]
    if isinstance(entry.get("args", []), str) or not isinstance(entry.get("args", []), Sequence):
        errors.append("args is no list: write [1, 2].")
    errors += [f"{key} is no dictionary: write {{name: value}}." for key in ("kwargs", "options") if not isinstance(entry.get(key, {}), Mapping)]
    if not isinstance(queue, str) or not re.fullmatch(r"[A-Za-z0-9_.:#@/-]+", queue):
        errors.append(f'queue is "{queue}": use letters, digits and any of "_.:#@/-".')
    return errors


def celery_schedule_errors(schedule: Mapping) -> list[str]:
    if not isinstance(schedule, Mapping):
        raise AnsibleFilterError(f"celery_schedule_errors takes a dictionary of entries, not {type(schedule).__name__}.")
    return [f"celery_beat_schedule, {name}: {error}" for name, entry in schedule.items() for error in _entry_errors(entry)]


class FilterModule:
    def filters(self) -> dict:
        return {"celery_schedule_errors": celery_schedule_errors}
