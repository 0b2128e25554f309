"""The Celery application of this host: the user's own, under the settings that the inventory decides.

Every unit runs ``celery -A taskqueue_stack``, so that settings apply before anything reads them, without a line
in the user's code, and whatever way the application is made: Celery's own look-up finds ``proj``, ``proj:app``,
``proj.celery:app`` alike.

The broker and the result backend need no code here: Celery prefers the environment's CELERY_BROKER_URL and
CELERY_RESULT_BACKEND to any application's setting (celery/app/utils.py, class Settings). Of the others, the first that has one decides:

1. CELERY_WORKER_SETTINGS, what the inventory says of one worker
2. CELERY_SETTINGS, what it says for all
3. the application
4. SAFE, below
5. Celery
"""
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import json
import os
import shlex

from celery import Celery
from celery.app.defaults import _TO_OLD_KEY
from celery.app.utils import find_app
from celery.schedules import crontab

ENV_FILE = "/etc/celery/celery.env"

# What a setting is where neither the inventory nor the application says anything.
SAFE = {
    # Whoever can write to Redis could run code in the workers if they took pickle.
    "accept_content": ["json"],
    "task_serializer": "json",
    "result_serializer": "json",
    # A task is taken off the queue when it is done, not when it begins: a worker that is killed loses none.
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    # A broker may come later than a worker, and may be away for longer than Celery's default of 47 minutes.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # Results nobody asks for must not fill Redis.
    "result_expires": 86400,
    "redis_backend_health_check_interval": 25,
    # A result that is written twice is one result.
    "redis_retry_on_timeout": True,
    # No retry_on_timeout here: a message that is written twice is a task that runs twice.
    "broker_transport_options": {"visibility_timeout": 3600, "socket_keepalive": True, "health_check_interval": 25},
    "result_backend_transport_options": {"visibility_timeout": 3600},
}
# Celery's Redis backend cannot make a connection by a UNIX socket with it.
if "socket://" not in os.environ.get("CELERY_RESULT_BACKEND", ""):
    SAFE["redis_socket_keepalive"] = True
# Who sets one of the options in these has no say in the others.
MERGED = ("broker_transport_options", "result_backend_transport_options")


def put(conf, name, value):
    conf[name] = value
    if conf.prefix:
        # The name that Celery 5.6 looks for first, in all layers, where the application's names have a prefix, as Django's have.
        name = conf.prefix + name
        conf[name.upper() if conf.prefix.isupper() else name.lower()] = value


def lay(app):
    """Puts the safe defaults below the application's settings, and those of the inventory above. It may come to this more than once."""
    conf = app.conf
    merged = {name: dict(conf.get(name) or {}) for name in MERGED}
    routes = conf.get("task_routes") or []
    # The last layer is Celery's own, in upper-case names if the application uses those: Celery 5.6 looks for them last, in all layers.
    own = conf.maps[-1]
    safe = {name if name in own else _TO_OLD_KEY.get(name, name): value for name, value in SAFE.items()}
    if safe not in conf.maps:
        # Not by add_defaults(), which puts them above what config_from_object() has read.
        conf.maps.insert(-1, safe)
        conf.defaults.insert(-1, safe)
    for variable in ("CELERY_SETTINGS", "CELERY_WORKER_SETTINGS"):
        for name, value in json.loads(os.environ.get(variable, "{}")).items():
            if name in MERGED:
                merged[name].update(value)
            elif name == "task_routes":
                # The first router with an answer decides.
                mine, theirs = (route if isinstance(route, (list, tuple)) else [route] for route in (value, routes))
                put(conf, name, [*mine, *(route for route in theirs if route not in mine)])
            else:
                put(conf, name, value)
    for name, options in merged.items():
        options = {**SAFE[name], **options}
        put(conf, name, taskqueue_sentinel.with_objects(options) if SENTINELS else options)


# systemd has set these for the units. A person at a shell gets the same:
#   sudo -u celery /opt/celery/current/bin/celery -A taskqueue_stack inspect active
if "CELERY_APP" not in os.environ:
    with open(ENV_FILE, encoding="utf-8") as env_file:
        os.environ.update(entry.split("=", 1) for entry in shlex.split(env_file.read(), comments=True))

SENTINELS = os.environ.get("CELERY_BROKER_URL", "").startswith("sentinel")
if SENTINELS:
    # Only here, as it changes what others need not have changed.
    import taskqueue_sentinel

    taskqueue_sentinel.install()

# A task takes some settings when it is made, which may be while the application is imported. So they are there as soon as an
# application has read its own: Celery calls on_init() of every application, and what add_defaults() is given once the settings are read.
Celery.on_init = lambda self: self.add_defaults(lambda: lay(self) or {})
app = find_app(os.environ["CELERY_APP"])
if not isinstance(app, Celery):
    raise TypeError(f"{os.environ['CELERY_APP']} is no Celery application, but of the type {type(app).__name__}")
# Once more, for an application that has an on_init() of its own, or reads settings and then sets others.
app.add_defaults(lambda: lay(app) or {})

# Beat alone has this: what the inventory adds to the application's own schedule. JSON has no crontab.
if "CELERY_SCHEDULE" in os.environ:
    schedule = json.loads(os.environ["CELERY_SCHEDULE"])
    for entry in schedule.values():
        if isinstance(entry["schedule"], dict):
            entry["schedule"] = crontab(**entry["schedule"])
        entry["options"] = {**entry.get("options", {}), **({"queue": entry.pop("queue")} if "queue" in entry else {})}
    put(app.conf, "beat_schedule", {**app.conf.beat_schedule, **schedule})
    # Written after every task, so that a killed beat does not send the last ones again. Celery's default is three minutes.
    put(app.conf, "beat_sync_every", app.conf.beat_sync_every or 1)

if "NOTIFY_SOCKET" in os.environ:
    # Only here, as nobody else needs what they import.
    import taskqueue_client
    import taskqueue_pauses
    import taskqueue_redeliveries
    import taskqueue_systemd

    taskqueue_client.install()
    taskqueue_pauses.install()
    taskqueue_redeliveries.install(app)
    taskqueue_systemd.install(app)
