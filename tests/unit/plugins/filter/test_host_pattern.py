# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.taskqueue.stack.plugins.filter.host_pattern import host_pattern


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["celery_worker", "celery_flower", "celery_beat"], "celery_worker:celery_beat"),
        (["redis"], "redis"),
        (["celery_flower"], "all:!all"),
        ([], "all:!all"),
    ],
)
def test_groups_that_are_there_are_named_and_nobody_else(names: list[str], pattern: str) -> None:
    assert host_pattern(names, {"redis": ["a"], "celery_worker": ["a"], "celery_beat": []}) == pattern
