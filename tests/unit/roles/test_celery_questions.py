# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with Redis and Celery is asked once, unless the inventory says more than the role redis knows of."""

from __future__ import annotations

import pytest

from .templating import evaluate, holds, task

CELERY_APP = ("celery_app/defaults/main.yml", "celery_app/vars/main.yml")
REDIS = ("redis/defaults/main.yml", "redis/vars/main.yml")
ASK = task("celery_app/tasks/set_vars.yml", "Ask the host what it is, and what it has")["when"]


def asked_by_redis() -> list[str]:
    options = task("redis/tasks/set_vars.yml", "Ask the host what it is, and what it has")["taskqueue.stack.host_facts"]
    return [name for option in options.values() for name in evaluate(option, *REDIS)]


@pytest.mark.parametrize(
    ("variables", "once"),
    [
        ({}, True),
        ({"celery_app_user": "worker"}, False),
        ({"celery_app_packages": ["libpq5"]}, False),
        ({"celery_app_tls_ca": "/etc/ssl/redis-ca.pem"}, False),
        ({"celery_app_tls_ca": "-----BEGIN CERTIFICATE-----"}, True),
        ({"celery_app_python": "/usr/bin/python3.12"}, False),
    ],
)
def test_one_call_answers_both_roles(variables: dict, once: bool) -> None:
    given = {"ansible_facts": {"os_family": "Debian"}, "role_path": "", "celery_app_tls_ca": "", **variables}
    assert holds(ASK, *CELERY_APP, **given, __redis_host={"asked": asked_by_redis()}) is not once


def test_a_host_that_nobody_has_asked_is_asked() -> None:
    assert holds(ASK, *CELERY_APP, ansible_facts={}, role_path="", celery_app_tls_ca="")
