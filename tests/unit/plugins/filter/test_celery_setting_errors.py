# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings are taken, as what, and what is said of the others."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.taskqueue.stack.plugins.filter.celery_setting_errors import celery_setting_errors
from ansible_collections.taskqueue.stack.plugins.filter.celery_settings import celery_settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"task_time_limt": 60}, "names task_time_limt, which is no setting of Celery: did you mean task_time_limit?"),
        ({"flux_capacitor_xyz": 60}, "which is no setting of Celery: write a name as in Celery's list of settings"),
        ({"flux_capacitor_xyz": 60}, "celery_app_other_settings"),
        ({"CELERY_ACKS_LATE": True}, "names CELERY_ACKS_LATE, which is called task_acks_late today: write task_acks_late."),
        ({"CELERYD_PREFETCH_MULTIPLIER": 1}, "called worker_prefetch_multiplier today"),
        ({"CELERY_TASK_TIME_LIMIT": 1}, "called task_time_limit today"),
        ({"CELERY_RESULT_DBURI": "x"}, "called database_url today"),
        ({"task_time_limit": "soon"}, 'task_time_limit: "soon"; write a number.'),
        ({"task_time_limit": True}, "task_time_limit: true; write a number."),
        ({"worker_prefetch_multiplier": 1.5}, "worker_prefetch_multiplier: 1.5; write a whole number."),
        ({"task_track_started": "perhaps"}, 'task_track_started: "perhaps"; write true or false.'),
        ({"imports": "shop.tasks"}, "imports: text; write a list."),
        ({"timezone": 1}, "timezone: 1; write text."),
        ({"task_publish_retry_policy": ["x"]}, "task_publish_retry_policy: a list; write a dictionary."),
        ({"broker_use_ssl": "perhaps"}, "write true or false or a dictionary."),
        ({"security_key_password": 123}, "security_key_password: a value; write text."),
        ({"mongodb_backend_settings": "mongodb://u:s3cret@h"}, "mongodb_backend_settings: text; write a dictionary"),
        ({"broker_transport_options": {"socket_timeout": "long"}}, 'broker_transport_options.socket_timeout: "long"; write a number.'),
        ({"task_serializer": "pickle"}, "pickle in task_serializer: whoever can write to Redis could run any code in the workers; write json."),
        ({"accept_content": ["json", "application/x-python-serialize"]}, "pickle in accept_content"),
        ({"result_serializer": "YAML"}, "yaml in result_serializer"),
        ({"accept_content": ["msgpack"]}, "accept_content without json"),
        ({"broker_url": "redis://elsewhere"}, "names broker_url, which the inventory says elsewhere"),
        ({"broker_url": "redis://elsewhere"}, "celery_app_broker_url"),
        ({"redis_password": "secret"}, "celery_app_result_backend"),
        ({"beat_schedule": {}}, "celery_beat_schedule"),
        ({"worker_direct": False}, "direct queue"),
        ({"visibility_timeout": 60}, "celery_app_visibility_timeout"),
        ({"broker_transport_options": {"visibility_timeout": 60}}, "celery_app_visibility_timeout"),
        ({"broker_transport_options": {"priority_steps": [0]}}, "celery_app_priority_steps"),
    ],
)
def test_what_is_wrong_is_said(settings: dict, words: str) -> None:
    errors = celery_setting_errors(settings)
    assert len(errors) == 1
    assert words in errors[0]
    assert "celery_app_settings" in errors[0]
    assert "secret" not in errors[0]


def test_every_error_at_once() -> None:
    assert len(celery_setting_errors({"task_time_limt": 60, "timezone": 1, "accept_content": ["pickle", "yaml"]})) == 4


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"task_time_limit": "300"}, {"task_time_limit": 300}),
        ({"task_time_limit": 300}, {"task_time_limit": 300}),
        ({"result_chord_retry_interval": "0.5"}, {"result_chord_retry_interval": 0.5}),
        ({"worker_max_tasks_per_child": "10"}, {"worker_max_tasks_per_child": 10}),
        ({"task_track_started": "True"}, {"task_track_started": True}),
        ({"task_track_started": "no"}, {"task_track_started": False}),
        ({"task_time_limit": None}, {"task_time_limit": None}),
        ({"task_default_rate_limit": "10/m"}, {"task_default_rate_limit": "10/m"}),
        ({"task_default_rate_limit": "10"}, {"task_default_rate_limit": 10}),
        ({"task_default_priority": "3"}, {"task_default_priority": 3}),
        ({"worker_concurrency": "auto"}, {"worker_concurrency": "auto"}),
        ({"broker_use_ssl": {"ssl_cert_reqs": 2}}, {"broker_use_ssl": {"ssl_cert_reqs": 2}}),
        ({"imports": ("a", "b")}, {"imports": ["a", "b"]}),
        ({"task_routes": [["a.*", "b"]]}, {"task_routes": [["a.*", "b"]]}),
        (
            {"broker_transport_options": {"socket_timeout": "5", "retry_on_timeout": "false", "another": "1"}},
            {"broker_transport_options": {"socket_timeout": 5, "retry_on_timeout": False, "another": "1"}},
        ),
        ({"worker_direct": "True"}, {"worker_direct": True}),
    ],
)
def test_values_have_the_type_that_celery_wants(given: dict, wanted: dict) -> None:
    assert celery_setting_errors(given) == []
    result = celery_settings(given)
    assert result == wanted
    assert [type(value) for value in result.values()] == [type(value) for value in wanted.values()]


def test_settings_of_an_extension() -> None:
    settings = {"redbeat_key_prefix": "shop:"}
    assert celery_setting_errors(settings)
    assert celery_setting_errors(settings, ["redbeat_key_prefix"]) == []
    assert celery_settings(settings, ["redbeat_key_prefix"]) == settings


@pytest.mark.parametrize("function", [celery_setting_errors, celery_settings])
def test_no_dictionary(function) -> None:
    with pytest.raises(AnsibleFilterError, match="takes a dictionary of settings, not list"):
        function(["x"])
