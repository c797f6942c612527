"""System checks of the databases that have deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import NotSupportedError, connections, router

from heliograph.databases import database_with_outbox
from heliograph.databases.general import Database
from heliograph.databases.pieces import Problem


def check_databases(app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return the problems of the databases that have deliveries, without those that do not answer."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        if router.allow_migrate(alias, "heliograph_outbox", model_name="delivery"):
            try:
                found += _problems_of_database(connections[alias])
            except (DatabaseError, ImproperlyConfigured, OSError):
                continue
    return found


def _problems_of_database(connection: Any) -> Iterator[CheckMessage]:
    try:
        database = database_with_outbox(connection)
    except NotSupportedError as error:
        yield _message(connection, Problem("E107", str(error), "Send from a database that it runs on."))
        return
    for problem in (*_too_few_connections(connection, database), *database.problems(connection)):
        yield _message(connection, problem)


def _too_few_connections(connection: Any, database: Database) -> Iterator[Problem]:
    most = database.most_connections(connection)
    listening = ["one to listen"] if database.has_notices else []
    others = [*listening, "one to renew leases"]
    needed = len(others) + 2
    if most is not None and most < needed:
        yield Problem(
            "W104",
            f"This user may have {most} connections at once, and a worker needs {needed}: one for each of its threads,"
            f" {', '.join(others)}, and one to look after the table. They are not those of a pool.",
            "Allow the user of the database more connections.",
        )


def _message(connection: Any, problem: Problem) -> CheckMessage:
    kind = Error if problem.number.startswith("E") else Warning
    database = f"DATABASES[{connection.alias!r}]"
    return kind(problem.text, hint=problem.hint, obj=database, id=f"heliograph.{problem.number}")
