# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What SELinux is told: no container has it, so the decisions are tested apart from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

ROLE = Path(__file__).parents[3] / "roles/redis"


def decide(name: str, **variables: object) -> object:
    expressions = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    return NativeEnvironment().from_string(expressions[name]).render(**variables)


@pytest.mark.parametrize(
    ("ports", "told"), [([6379], []), ([6379, 16379], []), ([6380], [6380]), ([6379, 7000], [7000]), ([26379, 6400], [6400])]
)
def test_only_ports_that_the_policy_lacks_are_told(ports: list[int], told: list[int]) -> None:
    assert decide("__redis_selinux_ports", __redis_ports=ports) == told


@pytest.mark.parametrize(
    ("directory", "told"),
    [
        ("/var/lib/redis", False),
        ("/var/lib/redis/queue", False),
        ("/var/lib/valkey", False),
        ("/var/lib/redis-data", True),
        ("/srv/queue", True),
    ],
)
def test_only_directories_that_the_policy_lacks_are_told(directory: str, told: bool) -> None:
    assert decide("__redis_selinux_directory", __redis_data_dir=directory) is told


def test_a_rule_lets_a_hardened_service_into_its_domain() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/selinux.yml").read_text(encoding="utf-8"))
    (rule,) = (task["ansible.builtin.copy"]["content"] for task in tasks if "ansible.builtin.copy" in task)
    assert rule.strip() == "(allow init_t redis_t (process2 (nnp_transition nosuid_transition)))"
    drop_in = (ROLE / "templates/drop-in.conf.j2").read_text(encoding="utf-8")
    assert "NoNewPrivileges=yes" in drop_in.partition("{% if redis_hardening | bool %}")[2]
