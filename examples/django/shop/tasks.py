"""The project's tasks."""

import time

from celery import shared_task
from django.conf import settings


@shared_task
def order(item: str) -> int:
    """Writes to the database; returns how often the item was ordered."""
    from .models import Order

    Order.objects.create(item=item)
    return Order.objects.filter(item=item).count()


@shared_task
def zone() -> str:
    return settings.TIME_ZONE


@shared_task
def work(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@shared_task
def report(seconds: float) -> float:
    """Takes long, and goes to a queue of its own."""
    time.sleep(seconds)
    return seconds
