"""Settings of the project. Nothing in here knows how it is deployed, but for what the environment says."""

import os

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "for development alone")
INSTALLED_APPS = ["shop"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3")}}

# On a developer's machine. A worker of taskqueue.stack gets the broker from the inventory.
CELERY_BROKER_URL = "redis://localhost:6379/9"
CELERY_RESULT_BACKEND = "redis://localhost:6379/9"
# An hour of the project's own choice.
CELERY_RESULT_EXPIRES = 3600
CELERY_TASK_TRACK_STARTED = False
CELERY_TASK_ROUTES = {"shop.tasks.report": {"queue": "reports"}}
