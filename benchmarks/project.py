"""The Django project in which everything is measured."""

import sqlite3
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from tests.helpers.databases import PREFIX, SERVERS
from tools.services import DATABASES, Service

FILE, POSTGRESQL = "file", "postgresql"


def set_up() -> None:
    """Set Django up, with its signals adopted and a database in memory; the others are for those who name them."""
    settings.configure(INSTALLED_APPS=["heliograph"], DATABASES=_databases(), USE_TZ=True)
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


def _databases() -> dict[str, Any]:
    """Return Django's DATABASES; those beside the one in memory are as durable as they are by default."""
    name, sqlite = f"{PREFIX}_bench", {"ENGINE": "django.db.backends.sqlite3"}
    file = {FILE: {**sqlite, "NAME": Path(tempfile.gettempdir()) / f"{name}.sqlite3"}}
    server = {POSTGRESQL: {**SERVERS[POSTGRESQL], "NAME": name, "OPTIONS": {}}} if _postgresql_answers() else {}
    return {"default": {**sqlite, "NAME": ":memory:"}, **file, **server}


@cache
def _postgresql_answers() -> bool:
    return _postgresql().answers()


def _postgresql() -> Service:
    return next(service for service in DATABASES if service.name == POSTGRESQL)
