# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible.errors import AnsibleFilterError
from ansible_collections.taskqueue.stack.molecule.shared.certificates import Authority
from ansible_collections.taskqueue.stack.plugins.filter.certificate_problems import certificate_problems

NAMES = {"certificate": "my_crt", "key": "my_key", "ca": "my_ca", "name": "my_name"}
AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("redis1")
GOOD = {"certificate": CERTIFICATE, "key": KEY, "ca": AUTHORITY.pem}


def test_nothing_is_wrong() -> None:
    assert certificate_problems(GOOD, NAMES, name="redis1") == []


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"key": ""}, {}, "my_crt, my_ca are set and my_key is empty"),
        ({"key": None, "certificate": "", "ca": ""}, {}, "my_crt, my_key, my_ca are empty"),
        ({"ca": "ca.crt"}, {}, "my_ca: neither PEM text"),
        ({"key": AUTHORITY.issue("redis1")[1]}, {}, "my_key is not the key"),
        ({}, {"purpose": "client"}, "my_crt is not for a client"),
        ({}, {"name": "redis2"}, "my_name is redis2"),
    ],
)
def test_a_problem_has_the_variable_s_name_and_no_secret(changes: dict, options: dict, words: str) -> None:
    problems = certificate_problems({**GOOD, **changes}, NAMES, **options)
    assert len(problems) == 1 and words in problems[0]
    assert KEY.splitlines()[1] not in problems[0]


def test_files_of_the_host_are_not_looked_at() -> None:
    assert certificate_problems({**GOOD, "key": "/etc/pki/redis.key"}, NAMES, name="redis2") == []


def test_what_is_no_question_is_refused() -> None:
    for value, options in (("x", {}), ({"cert": "x"}, {}), (GOOD, {"purpose": "both"})):
        with pytest.raises(AnsibleFilterError):
            certificate_problems(value, NAMES, **options)
