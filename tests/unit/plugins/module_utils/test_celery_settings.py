# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of settings is that of the Celery that is installed, which is another one on the oldest Python of a host."""

from __future__ import annotations

import pytest
from ansible_collections.taskqueue.stack.plugins.module_utils._celery_settings import CORRECTED, OWNED, SETTINGS, new_name

defaults = pytest.importorskip("celery.app.defaults")

KINDS = {"str": "string", "tuple": "list", "bytes": "string"}


def test_the_table_is_celery_s() -> None:
    theirs = {name: getattr(option.type, "__name__", option.type) for name, option in defaults.flatten(defaults.NAMESPACES)}
    missing = set(theirs) - set(SETTINGS)
    assert not missing
    assert {name: kind for name, kind in theirs.items() if name not in CORRECTED and KINDS.get(kind, kind) != SETTINGS[name]} == {}
    if hasattr(defaults, "_OPTIONS"):  # the newest that is supported: it has all there are
        assert set(SETTINGS) - set(CORRECTED) - set(theirs) == set()


def test_old_names_lead_to_the_new_ones() -> None:
    renamed = getattr(defaults, "_TO_NEW_KEY")
    assert {old: new_name(old) for old in renamed} == renamed


def test_each_setting_that_is_said_elsewhere_is_one() -> None:
    assert set(OWNED) <= set(SETTINGS)
