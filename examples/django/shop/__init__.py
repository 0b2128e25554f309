"""A small Django project with Celery, as Celery's documentation sets it up."""

# So that shared tasks find the application whenever Django runs.
from .celery import app as celery_app

__all__ = ("celery_app",)
