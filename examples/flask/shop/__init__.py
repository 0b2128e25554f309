"""A small Flask application that is made by a factory, with Celery as Flask's documentation sets it up."""

from __future__ import annotations

import os

from celery import Celery, Task
from flask import Flask


def celery_init_app(app: Flask) -> Celery:
    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        GREETING=os.environ.get("SHOP_GREETING", "hello"),
        CELERY={
            # On a developer's machine. A worker of taskqueue.stack gets the broker from the inventory.
            "broker_url": "redis://localhost:6379/9",
            "result_backend": "redis://localhost:6379/9",
            # An hour of the application's own choice.
            "result_expires": 3600,
            "task_track_started": False,
            "task_routes": {"shop.tasks.report": {"queue": "reports"}},
        },
    )
    celery_init_app(app)

    from . import tasks

    app.get("/work/<float:seconds>")(lambda seconds: tasks.work.delay(seconds).id)
    return app
