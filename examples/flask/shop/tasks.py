"""The application's tasks."""

import time

from celery import shared_task
from flask import current_app


@shared_task
def greet(name: str) -> str:
    """Needs the application's context, which it has by the class of the tasks."""
    return f"{current_app.config['GREETING']}, {name}"


@shared_task
def work(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@shared_task
def report(seconds: float) -> float:
    """Takes long, and goes to a queue of its own."""
    time.sleep(seconds)
    return seconds
