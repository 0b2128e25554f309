# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.taskqueue.stack.plugins.filter.redis_config_errors import redis_config_errors
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directive_table import DIRECTIVES


@pytest.mark.parametrize(
    ("config", "version"),
    [
        ({}, "7.0.15"),
        ({"maxmemory": "512mb", "maxmemory-policy": "noeviction"}, "6.0.16"),
        ({"maxmemory": 536870912}, "8.0.2"),
        ({"save": ["3600 1", "300 100"]}, "7.0.15"),
        ({"save": ""}, "7.0.15"),
        ({"save": []}, "6.2.14"),
        ({"protected-mode": True}, "6.2.14"),
        ({"protected-mode": "no"}, "7.0.15"),
        ({"client-output-buffer-limit": ["normal 0 0 0", "pubsub 32mb 8mb 60"]}, "7.0.15"),
        ({"timeout": 30}, "6.0.16"),
        ({"appenddirname": "aof"}, "7.0.15"),
    ],
)
def test_what_redis_takes(config: dict, version: str) -> None:
    assert redis_config_errors(config, version) == []


@pytest.mark.parametrize(
    ("config", "version", "words"),
    [
        ({"maxmemory-polcy": "noeviction"}, "7.0.15", ["maxmemory-polcy", "did you mean maxmemory-policy?"]),
        ({"flux-capacitor": 1}, "7.0.15", ["flux-capacitor", "is no directive of Redis 7.0.15"]),
        ({"appenddirname": "aof"}, "6.2.14", ["appenddirname", "came with Redis 7.0", "6.2.14"]),
        ({"maxmemory": "2 gigs"}, "7.0.15", ["maxmemory", "2 gigs", "512mb"]),
        ({"appendonly": "maybe"}, "7.0.15", ["appendonly", "neither yes nor no"]),
        ({"timeout": "soon"}, "7.0.15", ["timeout", "no whole number"]),
        ({"timeout": True}, "7.0.15", ["timeout", "a whole number"]),
        ({"maxmemory-policy": "keep-all"}, "7.0.15", ["maxmemory-policy", "noeviction"]),
        ({"loglevel": "notice\nrequirepass x"}, "7.0.15", ["loglevel", "line break"]),
        ({"save": {"900": 1}}, "7.0.15", ["save", "dictionary"]),
        ({"save": [[900, 1]]}, "7.0.15", ["save", "list of lists"]),
        ({"dir": None}, "7.0.15", ["dir", "no value"]),
    ],
)
def test_what_redis_would_refuse(config: dict, version: str, words: list[str]) -> None:
    (error,) = redis_config_errors(config, version)
    assert all(word in error for word in words), error


@pytest.mark.parametrize(
    ("config", "version", "flavor", "words"),
    [
        ({"availability-zone": "a"}, "8.0.2", "redis", ["availability-zone", "only Valkey has", "Redis 8.0.2"]),
        ({"replica-full-sync-buffer-limit": "1gb"}, "8.1.4", "valkey", ["only Redis has", "Valkey 8.1.4"]),
        ({"mptcp": True}, "8.1.4", "valkey", ["mptcp", "came with Valkey 9.0", "8.1.4"]),
        ({"gopher-enabled": True}, "7.0.15", "redis", ["gopher-enabled", "which Redis 7.0 dropped", "7.0.15"]),
        ({"comandlog-execution-slower-than": 1}, "8.1.4", "valkey", ["did you mean commandlog-execution-slower-than?", "Valkey 8.1.4"]),
        # Nobody is sent to what this server lacks.
        ({"availability-zon": "a"}, "8.0.2", "redis", ["no directive of Redis 8.0.2"]),
    ],
)
def test_each_flavor_has_directives_of_its_own(config: dict, version: str, flavor: str, words: list[str]) -> None:
    (error,) = redis_config_errors(config, version, flavor)
    assert all(word in error for word in words), error
    assert "did you mean availability-zone" not in error


@pytest.mark.parametrize("config", [{"availability-zone": "a"}, {"commandlog-execution-slower-than": 1}, {"maxmemory": "1gb"}])
def test_what_valkey_takes(config: dict) -> None:
    assert redis_config_errors(config, "8.1.4", "valkey") == []


def test_the_template_knows_what_may_stand_on_several_lines() -> None:
    variables = yaml.safe_load((Path(__file__).parents[4] / "roles/redis/vars/main.yml").read_text(encoding="utf-8"))
    assert variables["__redis_config_repeated"] == [name for name, spec in DIRECTIVES.items() if spec.get("repeat")]


def test_every_error_is_named_at_once() -> None:
    assert len(redis_config_errors({"timeout": "x", "appendonly": "x", "nonsense": 1}, "7.0.15")) == 3


def test_only_a_dictionary_has_directives() -> None:
    with pytest.raises(AnsibleFilterError, match="not list"):
        redis_config_errors(["maxmemory 1gb"], "7.0.15")
