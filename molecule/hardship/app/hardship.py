"""The application of this scenario: each task leaves marks in Redis, under its id, when it begins and when it has had its effect."""

import os
import signal
import time

from celery import Celery, signals
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

# A database of its own, beside the broker's.
MARKS = Redis.from_url(os.environ["CELERY_BROKER_URL"].rpartition("/")[0] + "/5")
# What "stubborn" takes when it runs for the first time: more than any stop may take.
FOR_EVER = 3600

app = Celery("hardship")
app.conf.update(accept_content=["json"], broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)
LATE = {"acks_late": True, "reject_on_worker_lost": True}


@signals.task_failure.connect
def note_failure(task_id: str = "", **_options: object) -> None:
    MARKS.hincrby("failed", task_id, 1)


def mark(kind: str, task: object) -> int:
    """Count one more of this kind. Redis may be away: then the task waits for it, as its effect is what is counted."""
    while True:
        try:
            return MARKS.hincrby(kind, task.request.id, 1)
        except RedisConnectionError:
            time.sleep(0.1)


@app.task(bind=True, **LATE)
def late(self: object, seconds: float = 0) -> float:
    time.sleep(seconds)
    mark("effects", self)
    return seconds


@app.task(bind=True, **LATE)
def stubborn(self: object) -> str:
    """Take no notice of a warm stop, the first time."""
    if mark("begun", self) == 1:
        time.sleep(FOR_EVER)
    mark("effects", self)
    return "done at last"


@app.task(bind=True, **LATE)
def poison(self: object, secret: str, victim: str = "own") -> None:
    """Take down the process that runs it, or that one's parent, as the kernel does with one that takes too much memory."""
    mark("begun", self)
    time.sleep(0.2)
    os.kill(os.getpid() if victim == "own" else os.getppid(), signal.SIGKILL)
    time.sleep(FOR_EVER)


@app.task
def nothing() -> None:
    """As quick as a task can be."""
