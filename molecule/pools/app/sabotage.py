"""The example application, with what it takes to break a worker from outside."""

import time

from celery.worker.control import control_command
from taskqueue_example import app

__all__ = ["app"]


@control_command()
def go_deaf(state) -> dict:
    """Take no more tasks and tell nobody, as after a failed reconnect; remote control works as before."""
    channel = state.consumer.task_consumer.channel
    for tag in list(channel._consumers):
        channel.basic_cancel(tag)
    return {"ok": "deaf"}


@control_command()
def get_stuck(state) -> None:
    """Let the loop wait for something that never comes."""
    while True:
        time.sleep(3600)


@app.task
def compute(seconds: float) -> float:
    """Give way to nothing and nobody."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return seconds
