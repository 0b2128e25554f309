"""The application of this scenario: each task leaves one line in a file of its host, whenever it has run.

Not in Redis: what is to be found out is what Redis loses.
"""

import os
import socket
import time

from celery import Celery

EFFECTS = "/var/lib/celery/effects"

app = Celery("ha_proof")
app.conf.update(
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
)


@app.task(bind=True)
def work(self: object, seconds: float = 0.01) -> str:
    time.sleep(seconds)
    with open(EFFECTS, "ab", buffering=0) as file:
        file.write(f"{self.request.id} {time.time():.3f}\n".encode())
    return socket.gethostname() + str(os.getpid())
