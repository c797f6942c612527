"""The Django project whose processes the crash tests kill."""

import os
from datetime import timedelta

from tests.helpers.databases import PREFIX, SQLITE_FOLDER
from tests.settings import DATABASES as _USUAL  # has Django take PyMySQL for its driver, too

_SQLITE = SQLITE_FOLDER / "crash.sqlite3"
# What the documentation asks of a project with a worker. A process that is killed loses nothing that it has written:
# the system has it, which needs no disk.
_SQLITE_OPTIONS = {
    "timeout": float(os.environ.get("HELIOGRAPH_CRASH_PATIENCE", "20")),
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
}


def _database():
    usual = _USUAL["default"]
    if usual["ENGINE"].endswith("sqlite3"):
        return {**usual, "NAME": _SQLITE, "OPTIONS": _SQLITE_OPTIONS, "TEST": {"NAME": _SQLITE}}
    name = f"{PREFIX}_crash"
    if os.environ.get("HELIOGRAPH_CRASH_OWN_SERVER"):
        usual = {**usual, "OPTIONS": {}}  # it is killed, and must not forget what it has committed
    if os.environ.get("HELIOGRAPH_CRASH_POOL"):
        pool = {"min_size": 1, "max_size": 4, "timeout": 1}
        usual = {**usual, "OPTIONS": {**usual["OPTIONS"], "pool": pool}}
    # The processes are given the very database that pytest makes.
    return {**usual, "NAME": name, "TEST": {**usual.get("TEST", {}), "NAME": name}}


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["heliograph", "heliograph.outbox", "tests.crash"]
SECRET_KEY = "not a secret: only the tests use it"
USE_TZ = True

LEASE = timedelta(seconds=1.5)  # what is longer, the tests wait for
HELIOGRAPH_OUTBOX = {
    "default": {"LEASE": LEASE, "KEEP": timedelta(hours=1)},
    "celery": {
        "BACKEND": "heliograph.outbox.backends.celery.CeleryBackend",
        "OPTIONS": {"APP": "tests.crash.celery_app.app", "NOTIFY_AGAIN_AFTER": 2},
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"heliograph": {"handlers": ["stderr"], "level": "INFO"}},
}
