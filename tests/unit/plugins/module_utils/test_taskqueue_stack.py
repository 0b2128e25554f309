# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose setting wins: the inventory's over the application's, and that one over the safe defaults, however the application is made.

Here, and not among the roles' tests, because these are run by the oldest Python of a host as well, and so with Celery 5.6.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[4] / "roles/celery_app/files"
OWN = {"result_expires": 60, "task_acks_late": False, "task_track_started": False}

# One application, made in every way that Celery knows. Each says the same of three settings.
APPLICATIONS = {
    "conf_update": "app = Celery('x')\napp.conf.update(result_expires=60, task_acks_late=False, task_track_started=False)",
    "keywords": "app = Celery('x', changes=dict(result_expires=60, task_acks_late=False, task_track_started=False))",
    "attributes": "app = Celery('x')\napp.conf.result_expires = 60\napp.conf.task_acks_late = app.conf.task_track_started = False",
    "object": "class Config:\n    result_expires = 60\n    task_acks_late = task_track_started = False\napp = Celery('x')\napp.config_from_object(Config)",
    "dictionary": "app = Celery('x')\napp.config_from_object(dict(result_expires=60, task_acks_late=False, task_track_started=False))",
    "old_names": "app = Celery('x')\napp.config_from_object(dict(CELERY_TASK_RESULT_EXPIRES=60, CELERY_ACKS_LATE=False, CELERY_TRACK_STARTED=False))",
    "namespace": (
        "class Settings:\n    CELERY_RESULT_EXPIRES = 60\n    CELERY_TASK_ACKS_LATE = CELERY_TASK_TRACK_STARTED = False\n"
        "app = Celery('x')\napp.config_from_object(Settings(), namespace='CELERY')"
    ),
    "read_then_set": "app = Celery('x')\napp.conf.timezone\napp.conf.update(result_expires=60, task_acks_late=False, task_track_started=False)",
    "read_then_object": (
        "app = Celery('x')\napp.conf.timezone\n"
        "app.config_from_object(dict(result_expires=60, task_acks_late=False, task_track_started=False))"
    ),
    "on_init_of_its_own": (
        "class Mine(Celery):\n    def on_init(self):\n        pass\n"
        "app = Mine('x')\napp.conf.update(result_expires=60, task_acks_late=False, task_track_started=False)"
    ),
    "factory": (
        "def create():\n    made = Celery('x')\n    made.config_from_object(dict(result_expires=60, task_acks_late=False, task_track_started=False))\n"
        "    made.set_default()\n    return made\napp = create()"
    ),
}


def run(tmp_path: Path, application: str, code: str, **environment: object) -> object:
    """What the code assigns to ``answer``, in a process of its own: there is one such module in a process."""
    (tmp_path / "shop.py").write_text(f"from celery import Celery, Task\n{application}\n", encoding="utf-8")
    variables = {name: value if isinstance(value, str) else json.dumps(value) for name, value in environment.items()}
    program = f"import json\nfrom taskqueue_stack import app\n{code}\nprint(json.dumps(answer))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, check=True, timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{FILES}:{tmp_path}", "CELERY_APP": "shop:app", **variables},
    )
    return json.loads(done.stdout.splitlines()[-1])


def settings(*names: str) -> str:
    return f"answer = {{name: app.conf[name] for name in {names!r}}}"


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS)
def test_inventory_over_application_over_safe_defaults(tmp_path: Path, application: str) -> None:
    found = run(tmp_path, application, settings(*OWN, "task_reject_on_worker_lost"), CELERY_SETTINGS={"task_track_started": True})
    assert found == {**OWN, "task_track_started": True, "task_reject_on_worker_lost": True}


def test_safe_defaults_where_nobody_says_anything(tmp_path: Path) -> None:
    found = run(
        tmp_path, "app = Celery('x')",
        settings("accept_content", "task_acks_late", "broker_connection_max_retries", "broker_connection_retry_on_startup", "result_expires",
                 "redis_socket_keepalive", "redis_backend_health_check_interval", "broker_transport_options", "result_backend_transport_options"),
    )
    assert found == {
        "accept_content": ["json"], "task_acks_late": True, "broker_connection_max_retries": None, "broker_connection_retry_on_startup": True,
        "result_expires": 86400, "redis_socket_keepalive": True, "redis_backend_health_check_interval": 25,
        "broker_transport_options": {"visibility_timeout": 3600, "socket_keepalive": True, "health_check_interval": 25},
        "result_backend_transport_options": {"visibility_timeout": 3600},
    }


def test_keepalive_is_nothing_for_a_unix_socket(tmp_path: Path) -> None:
    url = "redis+socket:///run/redis/redis.sock"
    assert run(tmp_path, "app = Celery('x')", "app.backend\nanswer = app.conf.redis_socket_keepalive", CELERY_RESULT_BACKEND=url) is False


def test_transport_options_of_all_layers_go_together(tmp_path: Path) -> None:
    application = "app = Celery('x')\napp.conf.broker_transport_options = dict(visibility_timeout=7200, socket_timeout=9, sep=':')"
    found = run(
        tmp_path, application, "answer = app.conf.broker_transport_options",
        CELERY_SETTINGS={"broker_transport_options": {"sep": "/", "priority_steps": [0, 5]}},
        CELERY_WORKER_SETTINGS={"broker_transport_options": {"unacked_key": "unacked.long"}},
    )
    assert found == {"visibility_timeout": 7200, "socket_timeout": 9, "sep": "/", "priority_steps": [0, 5], "unacked_key": "unacked.long",
                     "socket_keepalive": True, "health_check_interval": 25}


@pytest.mark.parametrize("own", ["{'shop.*': 'web', 'other.*': 'other'}", "[{'shop.*': 'web', 'other.*': 'other'}]"])
def test_routes_of_the_inventory_come_first(tmp_path: Path, own: str) -> None:
    code = "answer = [app.amqp.router.route({}, name)['queue'].name for name in ('shop.slow', 'shop.quick', 'other.one', 'none')]"
    found = run(tmp_path, f"app = Celery('x')\napp.conf.task_routes = {own}\napp.conf.timezone", code,
                CELERY_SETTINGS={"task_routes": {"shop.slow": "long"}})
    assert found == ["long", "web", "other", "celery"]


def test_tasks_that_are_made_while_settings_are_read_have_them(tmp_path: Path) -> None:
    application = """
app = Celery('x')

@app.task(name='shop.add')
def add(): pass

@app.task(name='shop.early', acks_late=False)
def early(): pass

@app.on_after_configure.connect
def schedule(sender, **kwargs):
    sender.add_periodic_task(10, add.s())
    sender.add_periodic_task(10, early.s())
"""
    code = "app.conf.timezone\nanswer = [[app.tasks[n].acks_late, app.tasks[n].ignore_result] for n in ('shop.add', 'shop.early')]"
    assert run(tmp_path, application, code, CELERY_SETTINGS={"task_ignore_result": True}) == [[True, True], [False, True]]


def test_tasks_that_are_made_on_import_have_them(tmp_path: Path) -> None:
    application = "app = Celery('x')\nclass Add(Task):\n    name = 'shop.add'\nadd = app.register_task(Add())\napp.finalize()"
    code = "answer = [app.tasks['shop.add'].acks_late, app.tasks['shop.add'].ignore_result]"
    assert run(tmp_path, application, code, CELERY_SETTINGS={"task_ignore_result": True}) == [True, True]


@pytest.mark.parametrize("application", [
    "app = Celery('x')\napp.conf.beat_schedule = {'own': {'task': 'a', 'schedule': 1}}",
    "class Settings:\n    CELERY_BEAT_SCHEDULE = {'own': {'task': 'a', 'schedule': 1}}\n"
    "app = Celery('x')\napp.config_from_object(Settings(), namespace='CELERY')",
], ids=["plain", "namespace"])
def test_the_inventory_s_schedule_is_added(tmp_path: Path, application: str) -> None:
    schedule = {"more": {"task": "b", "schedule": {"minute": 5}, "queue": "q"}}
    code = "answer = [sorted(app.conf.beat_schedule), app.conf.beat_schedule['more']['options'], app.conf.beat_sync_every]"
    assert run(tmp_path, application, code, CELERY_SCHEDULE=schedule) == [["more", "own"], {"queue": "q"}, 1]


def test_what_sentinels_need_of_the_libraries_is_loaded_for_them_alone(tmp_path: Path) -> None:
    code = "import sys\nanswer = ['taskqueue_sentinel' in sys.modules, list(app.conf.broker_transport_options['socket_keepalive_options'])]"
    options = {"broker_transport_options": {"socket_keepalive_options": {"TCP_KEEPIDLE": 2}}}
    for url, expected in (
        ("sentinel://redis1:26379;sentinel://redis2:26379", [True, [str(socket.TCP_KEEPIDLE)]]), ("redis://redis1", [False, ["TCP_KEEPIDLE"]]),
    ):
        found = run(tmp_path, "app = Celery('x')", code, CELERY_BROKER_URL=url, CELERY_SETTINGS=options)
        assert [found[0], list(map(str, found[1]))] == expected
