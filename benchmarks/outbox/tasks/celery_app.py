"""The app of Celery, which its worker loads before Django is set up."""

from celery import Celery
from django.conf import settings

app = Celery("outbox", include=["benchmarks.outbox.tasks.of_celery"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf["CELERY_DB_REUSE_MAX"] = settings.KEPT_CONNECTIONS
