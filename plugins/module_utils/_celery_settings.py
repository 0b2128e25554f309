# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What settings Celery has, and whether a dictionary of them is one that it would take.

Celery itself ignores a name that it does not know, and finds a wrong type when something breaks.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

# Names by type: celery.app.defaults.NAMESPACES of Celery 5.6.3 and 5.7.0. tests/unit/plugins/module_utils/test_celery_settings.py
# compares them with the Celery that is installed there.
_NAMES = {
    "any": "database_engine_callback task_annotations task_routes",
    "bool": """
        beat_enable_remote_control broker_channel_error_retry broker_connection_retry broker_connection_retry_on_startup broker_use_ssl
        control_queue_durable control_queue_exclusive database_create_tables_at_setup database_short_lived_sessions
        elasticsearch_retry_on_timeout elasticsearch_save_meta_as_text enable_utc event_queue_durable event_queue_exclusive
        redis_retry_on_timeout redis_socket_keepalive result_backend_always_retry result_extended result_persistent task_acks_late
        task_acks_on_failure task_acks_on_failure_or_timeout task_acks_on_timeout task_allow_error_cb_on_chord_header task_always_eager
        task_create_missing_queues task_eager_propagates task_ignore_result task_inherit_parent_priority task_publish_retry
        task_reject_on_worker_lost task_remote_tracebacks task_retry_on_worker_lost task_send_sent_event task_store_eager_result
        task_store_errors_even_if_ignored task_track_started worker_cancel_long_running_tasks_on_connection_loss
        worker_deduplicate_successful_tasks worker_detect_quorum_queues worker_direct worker_disable_prefetch worker_disable_rate_limits
        worker_enable_prefetch_count_reduction worker_enable_remote_control worker_enable_soft_shutdown_on_idle worker_hijack_root_logger
        worker_log_color worker_pool_putlocks worker_pool_restarts worker_redirect_stdouts worker_send_task_events
    """,
    "dict": """
        arangodb_backend_settings beat_schedule broker_transport_options cache_backend_options cassandra_options
        couchbase_backend_settings database_engine_options database_table_names database_table_schemas mongodb_backend_settings
        redis_backend_use_ssl result_backend_transport_options task_publish_retry_policy task_queues
    """,
    "float": """
        beat_max_loop_interval beat_remote_control_max_tick_age broker_connection_timeout broker_pool_acquire_timeout cassandra_entry_ttl
        control_queue_expires control_queue_ttl elasticsearch_timeout event_queue_expires event_queue_ttl gcs_ttl
        redis_socket_connect_timeout redis_socket_timeout result_backend_max_retries result_chord_expires result_chord_join_timeout
        result_chord_retry_interval result_expires result_failure_expires task_soft_time_limit task_time_limit worker_lost_wait
        worker_proc_alive_timeout worker_soft_shutdown_timeout worker_timer_precision
    """,
    "int": """
        azureblockblob_connection_timeout azureblockblob_read_timeout azureblockblob_retry_increment_base
        azureblockblob_retry_initial_backoff_sec azureblockblob_retry_max_attempts beat_cron_starting_deadline beat_sync_every
        broker_connection_max_retries broker_heartbeat broker_pool_limit broker_port
        cosmosdbsql_max_retry_attempts cosmosdbsql_max_retry_wait_time elasticsearch_max_retries redis_db redis_max_connections redis_port
        result_backend_base_sleep_between_retries_ms result_backend_max_sleep_between_retries_ms result_cache_max task_protocol
        task_queue_max_priority task_repr_maxlevels worker_eta_task_limit worker_max_memory_per_child worker_max_tasks_per_child
        worker_prefetch_multiplier
    """,
    "list": "accept_content cassandra_servers imports include result_accept_content",
    "string": """
        azureblockblob_base_path azureblockblob_container_name beat_schedule_filename beat_scheduler broker_failover_strategy broker_host
        broker_login_method broker_native_delayed_delivery_queue_type broker_password broker_read_url broker_transport broker_url
        broker_user broker_vhost broker_write_url cache_backend cassandra_auth_kwargs cassandra_auth_provider cassandra_bundle_path
        cassandra_keyspace cassandra_port cassandra_read_consistency cassandra_table cassandra_write_consistency control_exchange
        cosmosdbsql_collection_name cosmosdbsql_consistency_level cosmosdbsql_database_name database_url event_exchange event_queue_prefix
        event_serializer gcs_base_path gcs_bucket gcs_project redis_host redis_password redis_username result_backend result_compression
        result_exchange result_exchange_type result_serializer s3_access_key_id s3_base_path s3_bucket s3_endpoint_url s3_region
        s3_secret_access_key security_cert_store security_certificate security_digest security_key security_key_password task_compression
        task_create_missing_queue_exchange_type task_create_missing_queue_type task_default_exchange
        task_default_exchange_type task_default_queue task_default_queue_type
        task_default_routing_key task_serializer timezone worker_agent worker_autoscaler worker_consumer worker_log_datefmt
        worker_log_format worker_pool worker_pool_start_method worker_redirect_stdouts_level worker_state_db worker_task_log_datefmt
        worker_task_log_format worker_timer
    """,
}
# Where Celery takes another type than its table says, or more than one, or reads a name that is not in its table.
CORRECTED = {
    "broker_heartbeat_checkrate": "float",
    "broker_use_ssl": "bool or dict",
    "dynamodb_endpoint_url": "string",
    "gcs_threadpool_maxsize": "int",
    "redis_backend_credential_provider": "string",
    "redis_backend_health_check_interval": "float",
    "redis_client_name": "string",
    "result_backend_thread_safe": "bool",
    "task_default_delivery_mode": "int or string",
    "task_default_priority": "int",
    "task_default_rate_limit": "float or string",
    "visibility_timeout": "int",
    "worker_concurrency": "int or string",
}
SETTINGS: dict[str, str] = {**{name: kind for kind, names in _NAMES.items() for name in names.split()}, **CORRECTED}
# Options of kombu's Redis transport. Others are redis-py's, and taken as they are.
TRANSPORT_OPTIONS = {
    **dict.fromkeys(("socket_timeout", "socket_connect_timeout", "unacked_mutex_expire", "health_check_interval"), "float"),
    **dict.fromkeys(("unacked_restore_interval", "unacked_restore_throttle", "unacked_restore_limit", "max_connections"), "int"),
    **dict.fromkeys(("socket_keepalive", "retry_on_timeout", "ack_emulation", "fanout_patterns"), "bool"),
    **dict.fromkeys(("global_keyprefix", "sep", "client_name", "master_name"), "string"),
}

_BROKER = "it follows from the Redis of the inventory: leave it out, or write celery_app_broker_url"
_BACKEND = "it follows from the Redis of the inventory: leave it out, or write celery_app_result_backend"
_UNACKED = "a worker with visibility_timeout in celery_worker_instances has such keys of its own: leave it out"
# What the inventory says elsewhere.
OWNED = {
    **dict.fromkeys(("broker_url", "broker_read_url", "broker_write_url", "broker_transport"), _BROKER),
    **dict.fromkeys(("broker_host", "broker_port", "broker_user", "broker_password", "broker_vhost"), _BROKER),
    **dict.fromkeys(("result_backend", "redis_host", "redis_port", "redis_db", "redis_username", "redis_password"), _BACKEND),
    "beat_schedule": "write it to celery_beat_schedule",
    "beat_schedule_filename": "the role celery_beat keeps that file where beat may write: leave it out",
    "visibility_timeout": "write celery_app_visibility_timeout, or visibility_timeout of a worker in celery_worker_instances",
    "worker_direct": "each worker is proven through its direct queue: leave it out",
    "worker_pool": "write pool in celery_worker_instances",
}
OWNED_OPTIONS = {
    "visibility_timeout": OWNED["visibility_timeout"],
    "priority_steps": "write celery_app_priority_steps",
    "queue_order_strategy": "write celery_app_queue_order_strategy",
    **dict.fromkeys(("unacked_key", "unacked_index_key", "unacked_mutex_key"), _UNACKED),
}

_CONTENT = ("accept_content", "result_accept_content", "task_serializer", "result_serializer", "event_serializer")
_UNSAFE = {
    "pickle": "whoever can write to Redis could run any code in the workers",
    "yaml": "a message of a few hundred characters can be one that fills the memory when it is read",
}
_MIME = {"application/x-python-serialize": "pickle", "application/x-yaml": "yaml", "application/json": "json"}
# Names of before Celery 4 whose new ones are others than the rules in new_name() find.
_OLD = {
    "CELERY_MAX_CACHED_RESULTS": "result_cache_max",
    "CELERY_TASK_RESULT_EXPIRES": "result_expires",
    "CELERY_RESULT_DBURI": "database_url",
    "CELERY_RESULT_ENGINE_OPTIONS": "database_engine_options",
    "CELERY_RESULT_DB_SHORT_LIVED_SESSIONS": "database_short_lived_sessions",
    "CELERY_RESULT_DB_TABLENAMES": "database_table_names",
    "CELERY_MESSAGE_COMPRESSION": "task_compression",
    "CELERY_EAGER_PROPAGATES_EXCEPTIONS": "task_eager_propagates",
    "CELERYD_TASK_SOFT_TIME_LIMIT": "task_soft_time_limit",
    "CELERYD_TASK_TIME_LIMIT": "task_time_limit",
    "CELERY_DISABLE_RATE_LIMITS": "worker_disable_rate_limits",
    "CELERY_ENABLE_REMOTE_CONTROL": "worker_enable_remote_control",
    "CELERY_REDIRECT_STDOUTS": "worker_redirect_stdouts",
    "CELERY_REDIRECT_STDOUTS_LEVEL": "worker_redirect_stdouts_level",
    "CELERY_SEND_EVENTS": "worker_send_task_events",
    "CELERY_SEND_TASK_SENT_EVENT": "task_send_sent_event",
    "CELERYD_WORKER_LOST_WAIT": "worker_lost_wait",
}
_WORDS = {
    "bool": "true or false", "int": "a whole number", "float": "a number", "string": "text", "list": "a list", "dict": "a dictionary",
}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def new_name(old: str) -> str | None:
    """Today's name of a setting in the words of before Celery 4, or of Django."""
    if old in _OLD:
        return _OLD[old]
    low = old.lower()
    found = [low, *(new + low[len(start):] for start, new in (("celeryd_", "worker_"), ("celerybeat_", "beat_"), ("celery_", "task_"), ("celery_", ""))
                    if low.startswith(start))]
    return next((name for name in found if name in SETTINGS), None)


def convert(value: object, kind: str) -> object:
    """The value as that type. Before 2.19 Ansible delivers templated numbers as text, so text that says one is one; a ValueError if not."""
    for wanted in kind.split(" or "):
        if value is None or wanted == "any":
            return value
        try:
            return _CONVERTERS[wanted](value)
        except ValueError:
            continue
    raise ValueError(value)


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise ValueError(value)


def _float(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(value)
    number = float(value)
    return int(number) if number.is_integer() else number


def _int(value: object) -> int:
    number = _float(value)
    if not isinstance(number, int):
        raise ValueError(value)
    return number


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _list(value: object) -> list:
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    return list(value)


def _dict(value: object) -> dict:
    if not isinstance(value, Mapping):
        raise ValueError(value)
    return dict(value)


_CONVERTERS = {"bool": _bool, "float": _float, "int": _int, "string": _string, "list": _list, "dict": _dict}


def _shown(value: object, kind: str) -> str:
    """A value in a message. Of a dictionary, a list, and what stands in place of one nothing: there may be a secret in it."""
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str) and ("dict" in kind or "list" in kind):
        return "text"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def _unknown(name: str, known: Iterable[str]) -> str:
    new = new_name(name)
    if new:
        return f"celery_app_settings names {name}, which is called {new} today: write {new}."
    close = difflib.get_close_matches(name.lower(), known, n=1)
    remedy = f"did you mean {close[0]}?" if close else "write a name as in Celery's list of settings, for example task_time_limit."
    return f"celery_app_settings names {name}, which is no setting of Celery: {remedy} One of an extension goes into celery_app_other_settings as well."


def _wrong_type(name: str, value: object, kind: str) -> str:
    words = " or ".join(_WORDS[wanted] for wanted in kind.split(" or "))
    shown = "a value" if any(word in name for word in ("password", "key", "secret")) else _shown(value, kind)
    return f"celery_app_settings has {name}: {shown}; write {words}."


def _content_errors(name: str, value: object) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    formats = [_MIME.get(str(entry).strip().lower(), str(entry).strip().lower()) for entry in entries]
    errors = [f"celery_app_settings has {found} in {name}: {_UNSAFE[found]}; write json." for found in formats if found in _UNSAFE]
    if not errors and name.endswith("accept_content") and value is not None and "json" not in formats:
        errors.append(f"celery_app_settings has {name} without json, which remote control and the proof of a worker speak: add json.")
    return errors


def read(settings: Mapping, others: Iterable[str] = ()) -> tuple[dict[str, object], list[str]]:
    """The settings with the types that Celery wants, and a sentence for each that it would not take."""
    values: dict[str, object] = {}
    errors: list[str] = []
    for name, value in settings.items():
        if name in OWNED and not (name == "worker_direct" and str(value).lower() == "true"):
            errors.append(f"celery_app_settings names {name}, which the inventory says elsewhere: {OWNED[name]}.")
            continue
        if name not in SETTINGS and name in others:
            values[name] = value
            continue
        if name not in SETTINGS:
            errors.append(_unknown(str(name), SETTINGS))
            continue
        try:
            values[name] = convert(value, SETTINGS[name])
        except ValueError:
            errors.append(_wrong_type(name, value, SETTINGS[name]))
            continue
        if name in _CONTENT:
            errors += _content_errors(name, values[name])
        if name in ("broker_transport_options", "result_backend_transport_options") and values[name]:
            values[name], found = _read_options(name, values[name])
            errors += found
    return values, errors


def _read_options(setting: str, options: Mapping) -> tuple[dict[str, object], list[str]]:
    values: dict[str, object] = {}
    errors: list[str] = []
    for option, value in options.items():
        if option in OWNED_OPTIONS:
            errors.append(f"celery_app_settings names {option} in {setting}, which the inventory says elsewhere: {OWNED_OPTIONS[option]}.")
            continue
        kind = TRANSPORT_OPTIONS.get(option, "any")
        try:
            values[option] = convert(value, kind)
        except ValueError:
            errors.append(_wrong_type(f"{setting}.{option}", value, kind))
    return values, errors
