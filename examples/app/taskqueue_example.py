"""A small Celery application: what a worker runs when the inventory names none.

The broker comes from the environment (CELERY_BROKER_URL), so the same file runs everywhere:

    celery -A taskqueue_example worker
    celery -A taskqueue_example call taskqueue_example.add --args='[2, 3]'
"""

import time

from celery import Celery

app = Celery("taskqueue_example")
# Pickle would let anybody who can write to the broker run code in the worker.
app.conf.update(accept_content=["json"], broker_connection_retry_on_startup=True)


@app.task
def add(x: float, y: float) -> float:
    return x + y


@app.task
def echo(value: object) -> object:
    return value


@app.task
def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.task
def fail(message: str = "as asked") -> None:
    raise RuntimeError(message)


@app.task(bind=True, default_retry_delay=0.2)
def succeed_after(self, failures: int) -> int:
    """Fails that often, and is tried again each time."""
    if self.request.retries < failures:
        raise self.retry(max_retries=failures)
    return self.request.retries
