"""The application of this scenario: each task leaves one mark in Redis, under its id, whenever it has run.

RELEASE is what the test changes, so that there is something to deploy. The release "broken" starts anywhere but in a real
worker, as one does whose neighbour cannot be reached: no proof before the switch can find that.
"""

import os
import time

from celery import Celery, signals
from redis import Redis

RELEASE = "1"
# A database of its own, beside the broker's.
MARKS = Redis.from_url(os.environ["CELERY_BROKER_URL"].rpartition("/")[0] + "/5")

app = Celery("deploy_proof")
app.conf.update(accept_content=["json"], broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)
LATE = {"acks_late": True, "reject_on_worker_lost": True}


@signals.celeryd_init.connect
def reach_the_neighbour(**_options: object) -> None:
    if RELEASE == "broken":
        raise SystemExit("the release is broken: its neighbour cannot be reached")


def mark(task: object) -> None:
    MARKS.hincrby("effects", task.request.id, 1)
    MARKS.hincrby("releases", RELEASE, 1)


@app.task(bind=True)
def early(self: object, seconds: float = 0) -> float:
    time.sleep(seconds)
    mark(self)
    return seconds


@app.task(bind=True, **LATE)
def late(self: object, seconds: float = 0) -> float:
    time.sleep(seconds)
    mark(self)
    return seconds


@app.task(bind=True, **LATE)
def total(self: object, parts: list) -> float:
    mark(self)
    return sum(parts)
