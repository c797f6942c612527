"""System checks of the databases that have deliveries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import NotSupportedError, connections, router

from heliograph.outbox.sql import dialect_of

SQLITE_OPTIONS = (
    '"OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",'
    ' "transaction_mode": "IMMEDIATE"}'
)


def check_databases(app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the databases that have deliveries; nothing of one that does not answer."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        if router.allow_migrate(alias, "heliograph_outbox", model_name="delivery"):
            try:
                found += _problems_of_database(connections[alias])
            except (DatabaseError, ImproperlyConfigured, OSError):
                continue
    return found


def _problems_of_database(connection: Any) -> list[CheckMessage]:
    try:
        dialect_of(connection.vendor)
    except NotSupportedError as error:
        return [_of(connection, Error, str(error), "E107", "Send from a database that it runs on.")]
    return [*_PROBLEMS[connection.vendor](connection)]


def _of_postgresql(connection: Any) -> Iterator[CheckMessage]:
    yield from _too_few_connections(connection, _LIMIT_OF_POSTGRESQL, 4, "one to listen, one to renew leases")


_LIMIT_OF_POSTGRESQL = (
    "SELECT least(nullif(rolconnlimit, -1), nullif(datconnlimit, -1), current_setting('max_connections')::int)"
    " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
)
_LIMIT_OF_MYSQL = "SELECT least(@@max_connections, coalesce(nullif(@@max_user_connections, 0), @@max_connections))"


def _too_few_connections(connection: Any, query: str, needed: int, others: str) -> Iterator[CheckMessage]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        limit = cursor.fetchone()[0]
    if limit < needed:
        text = (
            f"This user may have {limit} connections at once, and a worker needs {needed}: one for each of its threads,"
            f" {others}, and one to look after the table. They are not those of a pool."
        )
        yield _of(connection, Warning, text, "W104", "Allow the user of the database more connections.")


def _of_mysql(connection: Any) -> Iterator[CheckMessage]:
    yield from _too_few_connections(connection, _LIMIT_OF_MYSQL, 3, "one to renew leases")
    if not connection.features.has_select_for_update_skip_locked:
        yield _of(
            connection,
            Error,
            f"{connection.display_name} {'.'.join(map(str, connection.mysql_version))} has no SKIP LOCKED, without"
            " which workers wait for each other.",
            "E108",
            "Use MariaDB 10.6 or newer, or MySQL 8.0.1 or newer.",
        )


def _of_sqlite(connection: Any) -> Iterator[CheckMessage]:
    version = connection.Database.sqlite_version_info
    if version < (3, 35):
        text = f"SQLite {'.'.join(map(str, version))} cannot return what it updates, and workers have to know that."
        yield _of(connection, Error, text, "E109", "Use SQLite 3.35 or newer.")
    if not _is_of_a_test(connection):
        yield from _ways_of_sqlite(connection)


def _ways_of_sqlite(connection: Any) -> Iterator[CheckMessage]:
    if connection.is_in_memory_db():
        text = "This database is in the memory of one process: a worker, which is another one, sees no delivery."
        yield _of(connection, Warning, text, "W101", "Set NAME to a file.")
        return
    hint = f"Set in DATABASES[{connection.alias!r}]: {SQLITE_OPTIONS}."
    if _journal_mode(connection) != "wal":
        text = "SQLite has no write-ahead log here: who writes waits for who reads, and the other way round."
        yield _of(connection, Warning, text, "W102", hint)
    mode = str(connection.settings_dict["OPTIONS"].get("transaction_mode")).upper()
    if mode not in ("IMMEDIATE", "EXCLUSIVE"):
        text = (
            "Transactions of SQLite begin without the lock to write here: of two that have read before they write, one"
            " fails with 'database is locked'."
        )
        yield _of(connection, Warning, text, "W103", hint)


def _is_of_a_test(connection: Any) -> bool:
    """Return whether Django has made this database in memory for tests, whose worker is the test itself."""
    return str(connection.settings_dict["NAME"]).startswith("file:memorydb_")


def _journal_mode(connection: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        return str(cursor.fetchone()[0]).lower()


_PROBLEMS: dict[str, Callable[[Any], Iterator[CheckMessage]]] = {
    "postgresql": _of_postgresql,
    "mysql": _of_mysql,
    "sqlite": _of_sqlite,
}


def _of(connection: Any, kind: type[Error | Warning], text: str, number: str, hint: str) -> CheckMessage:
    return kind(text, hint=hint, obj=f"DATABASES[{connection.alias!r}]", id=f"heliograph.{number}")
