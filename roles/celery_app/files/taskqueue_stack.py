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

from celery.app.utils import find_app
from celery.schedules import crontab

ENV_FILE = "/etc/celery/celery.env"

# systemd has set these for the units. A person at a shell gets the same:
#   sudo -u celery /opt/celery/current/bin/celery -A taskqueue_stack inspect active
if "CELERY_APP" not in os.environ:
    with open(ENV_FILE, encoding="utf-8") as env_file:
        os.environ.update(entry.split("=", 1) for entry in shlex.split(env_file.read(), comments=True))

app = find_app(os.environ["CELERY_APP"])
app.conf.update(json.loads(os.environ.get("CELERY_SETTINGS", "{}")))

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
    # Only here, as nobody else needs what they import.
    import taskqueue_redeliveries
    import taskqueue_systemd

    taskqueue_redeliveries.install(app)
    taskqueue_systemd.install(app)
