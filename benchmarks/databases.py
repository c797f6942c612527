"""The databases in a file and on a server, which are made when somebody asks for them and dropped at the end."""

from __future__ import annotations

import atexit
from functools import cache

from benchmarks import project
from benchmarks.made_databases import drop, make

TITLES = {project.FILE: "SQLite", project.POSTGRESQL: "PostgreSQL"}


def available() -> list[str]:
    """Return the databases that are there."""
    return [project.FILE, *([] if project.silent() else [project.POSTGRESQL])]


@cache
def create(alias: str) -> None:
    """Make a database that is there until the process ends."""
    from django.db import connections

    drop(connections[alias])
    make(connections[alias])
    atexit.register(lambda: drop(connections[alias]))


def migrated() -> list[str]:
    """Make the databases that are there, with the tables of all apps, and return them."""
    from django.core.management import call_command

    aliases = available()
    for alias in aliases:
        create(alias)
        call_command("migrate", database=alias, verbosity=0)
    return aliases


def execute(alias: str, statement: str) -> None:
    """Execute a statement in a database."""
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute(statement)


def vacuum(alias: str, table: str) -> None:
    """Remove what earlier rounds have left behind in a table."""
    if alias == project.POSTGRESQL:
        execute(alias, f"VACUUM {table}")
