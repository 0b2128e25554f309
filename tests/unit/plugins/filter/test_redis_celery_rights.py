# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.taskqueue.stack.plugins.filter.redis_celery_rights import redis_celery_rights

# What kombu puts between the name of a queue and its priority.
SEPARATED = "??[0-9]"


def rights(version: str = "7.0.15", extra: dict | None = None, **host: object) -> dict[str, list[str]]:
    return redis_celery_rights([{f"celery_{name}": value for name, value in host.items()}], version, extra)


def test_a_worker_of_which_nothing_is_said() -> None:
    found = rights()
    assert {"celery", f"celery{SEPARATED}", "*.dq2", "*.celery.pidbox", "unacked", "_kombu.binding*", "celery-task-meta-*"} <= set(found["keys"])
    assert "*" not in found["keys"] and "celery*" not in found["keys"]
    assert found["channels"] == ["/0.celery.pidbox", "/0.celeryev/worker.*", "/0.celeryev/*", "celery-task-meta-*", "celery-taskset-meta-*"]
    assert not {"+@all", "+config", "+keys", "+flushall", "+flushdb", "+eval", "+select", "+info"} & set(found["commands"])


def test_the_queues_of_every_host_and_setting() -> None:
    hosts = [
        {"celery_worker_instances": [{"name": "a", "queues": ["mail", "reports"]}, {"name": "b"}]},
        {"celery_app_settings": {"task_default_queue": "shop", "task_queues": {"slow": {}}, "task_routes": {"a.*": {"queue": "routed"}, "b": "plain"}}},
        {"celery_app_settings": {"task_routes": [["c.*", {"queue": "listed"}], {"d": {"queue": "nested"}}]}},
    ]
    keys = set(redis_celery_rights(hosts, "7.0.15", {"queues": ["elsewhere"]})["keys"])
    names = {"mail", "reports", "shop", "slow", "routed", "plain", "listed", "nested", "elsewhere", "celery"}
    assert names | {name + SEPARATED for name in names} <= keys


def test_only_the_databases_of_the_inventory_can_be_selected() -> None:
    assert [rule for rule in rights()["commands"] if "select" in rule] == []
    hosts = [{"celery_app_redis_db": "3"}, {"celery_app_redis_db": 0}]
    found = redis_celery_rights(hosts, "7.0.15")
    assert [rule for rule in found["commands"] if "select" in rule] == ["+select|3"]
    assert {"/3.celery.pidbox", "/0.celery.pidbox"} <= set(found["channels"])


def test_a_prefix_is_enough_and_results_have_their_own() -> None:
    found = rights(app_settings={
        "broker_transport_options": {"global_keyprefix": "shop:"}, "result_backend_transport_options": {"global_keyprefix": "shop"},
    })
    assert found["keys"] == ["shop:*", "shop_celery-task-meta-*", "shop_celery-taskset-meta-*"]
    assert found["channels"][0] == "shop:/0.celery.pidbox"
    assert "shop_celery-task-meta-*" in found["channels"]


@pytest.mark.parametrize(
    ("settings", "keys", "channels"),
    [
        ({"control_exchange": "shop"}, {"*.shop.pidbox"}, {"/0.shop.pidbox"}),
        ({"event_exchange": "shopev", "event_queue_prefix": "ev"}, {"ev.*"}, {"/0.shopev/*"}),
        ({"broker_transport_options": {"sep": ":", "priority_steps": [0, 5, 10]}}, {"celery:[0-9]", "celery:[0-9][0-9]"}, set()),
        ({"broker_transport_options": {"unacked_key": "u"}}, {"u"}, set()),
        ({"broker_transport_options": {"fanout_prefix": False}}, set(), {"celery.pidbox"}),
        ({"broker_transport_options": {"fanout_prefix": "f{db}"}}, set(), {"f0celery.pidbox"}),
        ({"broker_transport_options": {"fanout_patterns": False}}, set(), {"/0.celeryev"}),
        ({"task_default_queue": "a*b"}, {"a\\*b"}, set()),
    ],
)
def test_settings_that_change_names(settings: dict, keys: set, channels: set) -> None:
    found = rights(app_settings=settings)
    assert keys <= set(found["keys"])
    assert channels <= set(found["channels"])


def test_worker_direct_can_be_off() -> None:
    assert not [key for key in rights(app_settings={"worker_direct": False})["keys"] if "dq2" in key]


@pytest.mark.parametrize(("version", "known"), [("6.0.16", True), ("6.2.14", True), ("7.0.15", False), ("7.2.4", True), ("8.0.2", True)])
def test_what_a_client_says_of_itself(version: str, known: bool) -> None:
    assert ("+client|setinfo" in rights(version)["commands"]) is known


def test_channels_from_6_2_on() -> None:
    assert rights("6.0.16", {"channels": ["x"]})["channels"] == []


def test_more_can_be_given() -> None:
    found = rights(extra={"keys": ["shop:*"], "channels": ["news"], "commands": ["+incr"]})
    assert ("shop:*" in found["keys"], "news" in found["channels"], "+incr" in found["commands"]) == (True, True, True)


def test_no_host_is_a_producer_alone() -> None:
    assert redis_celery_rights([], "7.0.15")["keys"][0] == "celery"


def test_every_rule_is_one_word() -> None:
    for rules in rights(extra={"queues": ["a b", "c\x06d", "ü"]}).values():
        assert [rule for rule in rules if not rule.isprintable() or " " in rule] == []


def test_routes_priorities_and_workers_with_a_time_of_their_own() -> None:
    host = {
        "celery_worker_instances": [{"name": "default"}, {"name": "long", "queues": ["long"], "visibility_timeout": 7200}],
        "celery_app_routes": {"shop.*": "web"},
        "celery_app_priority_steps": [0, 100],
    }
    keys = redis_celery_rights([host], "7.0.15")["keys"]
    assert {"web", "unacked", "unacked.long", "unacked_index.long", "unacked_mutex.long"} <= set(keys)
    assert "unacked.default" not in keys
    assert {ending for ending in ("[0-9]", "[0-9][0-9]", "[0-9][0-9][0-9]") if any(key.endswith(f"??{ending}") for key in keys)} == {
        "[0-9]", "[0-9][0-9]", "[0-9][0-9][0-9]"}
