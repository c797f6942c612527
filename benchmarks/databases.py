"""The databases in a file and on a server, which are made when somebody asks for them and dropped at the end."""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path

from benchmarks import project

TITLES = {project.FILE: "SQLite", project.POSTGRESQL: "PostgreSQL"}


def available() -> list[str]:
    """Return the databases that are there."""
    return [project.FILE, *([] if project.silent() else [project.POSTGRESQL])]


@cache
def create(alias: str) -> None:
    """Make a database that is there until the process ends."""
    _drop(alias)
    if alias == project.POSTGRESQL:
        _execute_beside(alias, "CREATE DATABASE {}")
    atexit.register(_drop, alias)


def execute(alias: str, statement: str) -> None:
    """Execute a statement in a database."""
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute(statement)


def vacuum(alias: str, table: str) -> None:
    """Remove what earlier rounds have left behind in a table."""
    if alias == project.POSTGRESQL:
        execute(alias, f"VACUUM {table}")


def _drop(alias: str) -> None:
    from django.db import connections

    connections[alias].close()
    if alias == project.POSTGRESQL:
        _execute_beside(alias, "DROP DATABASE IF EXISTS {}")
    else:
        Path(connections[alias].settings_dict["NAME"]).unlink(missing_ok=True)


def _execute_beside(alias: str, statement: str) -> None:
    """Execute a statement about a database, from outside of it."""
    from django.db import connections

    connection = connections[alias]
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement.format(connection.ops.quote_name(connection.settings_dict["NAME"])))
