"""Schemas: which schemas of a PostgreSQL database a connection searches for its tables, mostly known without a query.

django-tenants sets `connection.schema_name`. PostgreSQL 18 and later report the search path to the client. Before
that, a step looks for statements that name `search_path`, while a receiver of batches is connected; after such a
statement, one query asks for the search path in each transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.db import connections

from heliograph.databases import database_at, database_of
from heliograph.orm import cursors
from heliograph.orm.savepoint_times import identity_of_transaction, is_same_transaction
from heliograph.orm.steps import Hold, PatchLease, Proceed, Step

Path = tuple[str, ...]  # the names of schemas, in the order in which they are searched

_PUBLIC = "public"
_KNOWN = "_heliograph_search_path"


def path_of(using: str) -> Path | None:
    """Return the schemas that a connection searches now; None if no code has changed them on the connection."""
    if not may_have_schemas(using):
        return None
    connection: Any = connections[using]
    name = getattr(connection, "schema_name", None)
    if isinstance(name, str) and name:
        return (name, _PUBLIC)
    return database_of(connection).reported_search_path(connection) or _asked(connection)


@cache
def may_have_schemas(using: str) -> bool:
    """Return whether a database has search paths; cached, since every call of a guarded receiver needs to know."""
    return database_at(using).has_search_path  # a signal may send a `using` that is no alias


def schema_of(using: str | None, path: Path | None, table: str) -> str | None:
    """Query for the first of these schemas that has a table; None if none of them has it."""
    if using is None or not may_have_schemas(using):
        return None
    connection = connections[using]
    database = database_of(connection)
    if path is None:
        path = database.default_search_path(connection)
    found = database.schemas_with(connection, table, path)
    return next((name for name in path if name in found), None)


# --- before PostgreSQL 18 -----------------------------------------------------------------------------------------


def _asked(connection: Any) -> Path | None:
    """Return the search path of a connection if a statement has set one; it is queried once in each transaction."""
    known = vars(connection).get(_KNOWN)
    if known is None or connection.connection is None:
        return None
    identity = identity_of_transaction(connection)
    if known[1] is None or not is_same_transaction(identity, known[0]):
        known = vars(connection)[_KNOWN] = (identity, database_of(connection).search_path(connection))
    path: Path = known[1]
    return path


def watching() -> tuple[Hold, ...]:
    """Watch statements for a change of the search path, for as long as the result exists; empty without PostgreSQL."""
    return (_watched.take(),) if any(map(may_have_schemas, connections.settings)) else ()


def _steps() -> Iterator[Step]:
    yield cursors.execute.step("watch_search_path", _execute)


_watched = PatchLease(_steps)
_SHORT = 1000  # characters: a statement that sets a search path is shorter, so longer ones are not searched for it


def _execute(proceed: Proceed, cursor: Any, sql: Any, *args: Any) -> Any:
    result = proceed(cursor, sql, *args)
    text = sql if type(sql) is str else str(sql)
    # A rollback undoes a change of the search path.
    is_undone = _KNOWN in vars(cursor.db) and text.startswith("ROLLBACK")
    if is_undone or (len(text) < _SHORT and "search_path" in text.lower()):
        vars(cursor.db)[_KNOWN] = ((), None)
    return result
