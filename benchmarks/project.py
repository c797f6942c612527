"""The Django project in which everything is measured."""

import sqlite3
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django
from django.apps import AppConfig
from django.conf import settings

from tests.helpers.databases import PREFIX, SERVERS
from tools.services import DATABASES, Service

FILE, POSTGRESQL = "file", "postgresql"


class Shops(AppConfig):
    """The app of the models that are made while Django runs, and have reverse relations."""

    name, label = __name__, "shops"


class ComputedFields(AppConfig):
    """The app of django-computedfields without its receivers, which would receive the saves of all models."""

    name = "computedfields"


def set_up(*apps: str) -> None:
    """Set Django up, with its signals adopted and a database in memory; the others are for those who name them."""
    settings.configure(
        INSTALLED_APPS=["heliograph", f"{__name__}.Shops", *_apps(), *apps],
        DATABASES=_databases(),
        USE_TZ=True,
        **_mail(),
    )
    django.setup()


def silent() -> list[Service]:
    """Return the database servers that do not answer."""
    return [] if _postgresql_answers() else [_postgresql()]


def servers() -> dict[str, str]:
    """Return the versions of the databases."""
    from django.db import connections

    versions = {"SQLite": sqlite3.sqlite_version}
    if _postgresql_answers():
        with connections[POSTGRESQL]._nodb_cursor() as cursor:
            cursor.execute("SHOW server_version")
            versions["PostgreSQL"] = cursor.fetchone()[0].split()[0]
    return versions


def _mail() -> dict[str, Any]:
    """Return the settings by which mails stay in memory."""
    backend = "django.core.mail.backends.locmem.EmailBackend"
    return {"MAILERS": {"default": {"BACKEND": backend}}} if django.VERSION >= (6, 1) else {"EMAIL_BACKEND": backend}


def _apps() -> list[str]:
    """Return the apps without which a package cannot be imported."""
    is_installed = find_spec(ComputedFields.name) is not None
    return ["django.contrib.contenttypes", f"{__name__}.ComputedFields"] if is_installed else []


def _databases() -> dict[str, Any]:
    """Return Django's DATABASES; those beside the one in memory are as durable as they are by default.

    Threads that write to the file wait for each other, also on a busy machine.
    """
    name, sqlite = f"{PREFIX}_bench", {"ENGINE": "django.db.backends.sqlite3"}
    file = {FILE: {**sqlite, "NAME": Path(tempfile.gettempdir()) / f"{name}.sqlite3", "OPTIONS": {"timeout": 60}}}
    server = {POSTGRESQL: {**SERVERS[POSTGRESQL], "NAME": name, "OPTIONS": {}}} if _postgresql_answers() else {}
    return {"default": {**sqlite, "NAME": ":memory:"}, **file, **server}


@cache
def _postgresql_answers() -> bool:
    return _postgresql().answers()


def _postgresql() -> Service:
    return next(service for service in DATABASES if service.name == POSTGRESQL)
