"""The Celery application of this host: the user's own, under the settings that the inventory decides.

Every unit runs ``celery -A taskqueue_stack``, so that settings apply before anything reads them, without a line
in the user's code, and whatever way the application is made: Celery's own look-up finds ``proj``, ``proj:app``,
``proj.celery:app`` alike.

The broker and the result backend need no code here: Celery prefers the environment's CELERY_BROKER_URL and
CELERY_RESULT_BACKEND to any application's setting (celery/app/utils.py, class Settings).
"""
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import json
import os
import shlex
import socket

from celery.app.utils import find_app
from celery.schedules import crontab
from kombu.transport.redis import QoS
from redis import exceptions, sentinel
from redis._parsers import BaseParser
from redis.backoff import NoBackoff
from redis.retry import Retry

ENV_FILE = "/etc/celery/celery.env"

# systemd has set these for the units. A person at a shell gets the same:
#   sudo -u celery /opt/celery/current/bin/celery -A taskqueue_stack inspect active
if "CELERY_APP" not in os.environ:
    with open(ENV_FILE, encoding="utf-8") as env_file:
        os.environ.update(entry.split("=", 1) for entry in shlex.split(env_file.read(), comments=True))

# A primary that has too few replicas at the moment (min-replicas-to-write), as after each failover, is one that cannot be reached: worth
# another attempt. Celery takes it for an error of the program, ends the worker, and does not store the results of tasks.
BaseParser.EXCEPTION_CLASSES["NOREPLICAS"] = exceptions.ConnectionError

# A connection that was lost is made anew by what is sent next, and redis-py then goes where it was before, asking no Sentinel (as of 6.4
# and 8.1, connect_check_health() in send_packed_command()). A primary that handed over answers there as a replica, and kombu's
# restore_by_tag(), a transaction that is repeated when the connection fails, never ends.
send_packed_command = sentinel.SentinelManagedConnection.send_packed_command


def send_to_the_primary(self, command, check_health=True):
    if not self._sock:
        self.connect()
    return send_packed_command(self, command, check_health)


sentinel.SentinelManagedConnection.send_packed_command = send_to_the_primary

# kombu and Celery try again by themselves. redis-py would first, with pauses, at a primary that is cut off: measured, 25 seconds.
managed = sentinel.SentinelManagedConnection.__init__


def without_attempts_of_its_own(self, **kwargs):
    managed(self, **kwargs)
    self.retry = Retry(NoBackoff(), 0)


sentinel.SentinelManagedConnection.__init__ = without_attempts_of_its_own

# A worker that has lost its connection gives back what it had taken, and closes the connection a second time when that fails: then there is
# none to give anything back by, and the worker ended for it (kombu 5.7.0). What it had is given to another after visibility_timeout.
restore_unacked = QoS.restore_unacked


def restore_what_can_be(self, client=None):
    if client or self.channel.connection.client:
        restore_unacked(self, client)


QoS.restore_unacked = restore_what_can_be

app = find_app(os.environ["CELERY_APP"])
settings = json.loads(os.environ.get("CELERY_SETTINGS", "{}"))
# A socket's options are numbers that differ between systems, and JSON has no numbers for names.
keepalive = settings.get("broker_transport_options", {}).get("socket_keepalive_options", {})
if keepalive:
    numbers = {getattr(socket, name, None): value for name, value in keepalive.items()}
    settings["broker_transport_options"]["socket_keepalive_options"] = {key: value for key, value in numbers.items() if key is not None}
for options in ("broker_transport_options", "result_backend_transport_options"):
    if "sentinel_kwargs" in settings.get(options, {}):
        # The next Sentinel is asked at once. redis-py would ask one that is away again and again, with pauses.
        settings[options]["sentinel_kwargs"]["retry"] = Retry(NoBackoff(), 0)
app.conf.update(settings)

# Beat alone has this: what the inventory adds to the application's own schedule. JSON has no crontab.
if "CELERY_SCHEDULE" in os.environ:
    schedule = json.loads(os.environ["CELERY_SCHEDULE"])
    for entry in schedule.values():
        if isinstance(entry["schedule"], dict):
            entry["schedule"] = crontab(**entry["schedule"])
        entry["options"] = {**entry.get("options", {}), **({"queue": entry.pop("queue")} if "queue" in entry else {})}
    app.conf.beat_schedule = {**app.conf.beat_schedule, **schedule}
    # Written after every task, so that a killed beat does not send the last ones again. Celery's default is three minutes.
    app.conf.beat_sync_every = app.conf.beat_sync_every or 1

if "NOTIFY_SOCKET" in os.environ:
    # Only here, as nobody else needs what it imports.
    import taskqueue_systemd

    taskqueue_systemd.install(app)
