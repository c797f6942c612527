"""The settings of the workers; the tests have others, with the same outbox."""

import datetime
import os

import django

from tests.helpers.external_workers.brokers import MAIL
from tests.settings import *  # noqa: F403 - as settings do
from tests.settings import DATABASES as _DATABASES
from tests.settings import INSTALLED_APPS as _INSTALLED_APPS

WORKERS = "HELIOGRAPH_TEST_EXTERNAL"  # the variable that says of which external workers a process is

NOTIFY_AGAIN_AFTER = 1.0
LEASE_IN_SECONDS = 2


def outbox(workers, **options):
    """Return HELIOGRAPH_OUTBOX with one backend beside the default one."""
    kind, usual = "tasks.TasksBackend", {}
    if workers != "tasks":
        kind, usual = (
            "celery.CeleryBackend",
            {"APP": f"tests.helpers.external_workers.celeries:{workers}", "QUEUES": {"mail": MAIL}},
        )
    return {
        "default": {"LEASE": datetime.timedelta(seconds=LEASE_IN_SECONDS)},
        "external": {
            "BACKEND": f"heliograph.outbox.backends.{kind}",
            "OPTIONS": {"NOTIFY_AGAIN_AFTER": NOTIFY_AGAIN_AFTER, **usual, **options},
        },
    }


def _of_tests(database):
    """Return the database that the tests have made, as the documentation asks of a project with workers."""
    options = database.get("OPTIONS", {})
    if database["ENGINE"].endswith("sqlite3"):
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA synchronous=OFF"}
    name = database.get("TEST", {}).get("NAME") or f"test_{database['NAME']}"
    return {**database, "NAME": name, "OPTIONS": options}


DATABASES = {
    "default": _of_tests(_DATABASES["default"]),
    "bare": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},  # without tables
}
INSTALLED_APPS = [*_INSTALLED_APPS, "django_tasks_db", "tests.helpers.external_workers"]
if django.VERSION < (6, 0):
    INSTALLED_APPS += ["django_tasks"]
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    INSTALLED_APPS += ["django.contrib.postgres"]  # which fields of the tests want, and commands check
HELIOGRAPH_OUTBOX = outbox(os.environ.get(WORKERS, "rabbitmq"))
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "mail"]}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"heliograph": {"handlers": ["stderr"], "level": "INFO", "propagate": False}},
}
