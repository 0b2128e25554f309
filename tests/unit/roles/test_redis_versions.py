# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version the other hosts are told: the one that a host is going to have, where it is yet to be installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

ROLE = Path(__file__).parents[3] / "roles/redis"


def decide(**variables: object) -> str:
    expressions = yaml.safe_load((ROLE / "vars/main/main.yml").read_text(encoding="utf-8"))
    return str(NativeEnvironment().from_string(expressions["__redis_version_to_be"]).render(**variables)).strip()


@pytest.mark.parametrize(
    ("to_install", "just", "stream", "told"),
    [
        (False, {"skipped": True}, "", "6.2.14"),
        (True, None, "", "6.2"),
        # 6.2 is installed, and 7 is to be, be that 7.0 or 7.2.
        (True, None, "7", "7"),
        # It has been, since the host was asked.
        (True, {"stdout": "Redis server v=7.2.4"}, "7", "6.2.14"),
    ],
)
def test_the_version_that_a_host_is_going_to_have(to_install: bool, just: dict | None, stream: str, told: str) -> None:
    asked = {} if just is None else {"__redis_just_installed": just}
    assert decide(__redis_version="6.2.14", __redis_version_packaged="6.2", __redis_to_install=to_install, redis_module_stream=stream, **asked) == told


def test_an_upgrade_proves_the_configuration_on_the_new_program_before_it_restarts() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/upgrade.yml").read_text(encoding="utf-8"))
    names = [task["name"] for task in tasks]
    packages, asked, proven, restarted = (
        next(number for number, name in enumerate(names) if name.startswith(start))
        for start in ("Bring the packages", "Ask which version it is now", "Prove the configuration", "Restart the service")
    )
    assert packages < asked < proven < restarted
    assert tasks[proven]["ansible.builtin.include_tasks"]["apply"]["check_mode"] is True


def test_an_upgrade_that_was_cut_off_is_not_refused_for_what_it_is_about_to_mend() -> None:
    plays = yaml.safe_load((ROLE / "../../playbooks/in_turns.yml").read_text(encoding="utf-8"))
    redis = [play for play in plays if "redis" in play["hosts"] and "redis_sentinel" not in play["hosts"]]
    assert [play["vars"]["__redis_upgrading"] for play in redis] == [True] * 2
