"""Schemas: which schemas of a PostgreSQL database a connection searches for its tables, mostly known without a query.

django-tenants sets `connection.schema_name`. PostgreSQL 18 and later report the search path to the client. Before
that, a step looks for statements that name `search_path`, while a receiver of batches is connected; after such a
statement, one query asks for the search path in each transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from django.db import connections

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
    return _reported(connection) or _asked(connection)


@cache
def may_have_schemas(using: str) -> bool:
    """Return whether a database is PostgreSQL; cached, since every call of a guarded receiver needs to know."""
    engine = connections.settings.get(using, {}).get("ENGINE", "")  # a signal may send a `using` that is no alias
    return "postg" in engine  # also in the names of PostGIS and of most engines of other packages


def schema_of(using: str | None, path: Path | None, table: str) -> str | None:
    """Query for the first of these schemas that has a table; None if none of them has it."""
    if using is None or not may_have_schemas(using):
        return None
    with connections[using].cursor() as cursor:
        if path is None:
            cursor.execute("SELECT reset_val FROM pg_settings WHERE name = 'search_path'")
            path = _parsed(cursor.fetchone()[0], connections[using])
        cursor.execute(_SCHEMAS, [table, [*path]])
        found = {name for (name,) in cursor.fetchall()}
    return next((name for name in path if name in found), None)


_SCHEMAS = """
    SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relname = %s AND nspname = ANY(%s)
"""

# The name of a schema in a search path: in quotes, with each inner quote doubled, or without quotes.
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')


def _parsed(text: str, connection: Any) -> Path:
    names = (quoted.replace('""', '"') or bare for quoted, bare in _NAME.findall(text))
    user = connection.settings_dict["USER"]
    return tuple(user if name == "$user" else name for name in names)


def _reported(connection: Any) -> Path | None:
    """Return the search path that the server has reported, as PostgreSQL 18 does."""
    if connection.connection is None or connection.pg_version < _REPORTING:
        return None
    text = connection.connection.info.parameter_status("search_path")
    return _parsed(text, connection) if text else None


_REPORTING = 18_00_00  # the first version that reports it


# --- before PostgreSQL 18 -----------------------------------------------------------------------------------------


def _asked(connection: Any) -> Path | None:
    """Return the search path of a connection if a statement has set one; it is queried once in each transaction."""
    known = vars(connection).get(_KNOWN)
    if known is None or connection.connection is None:
        return None
    identity = identity_of_transaction(connection)
    if known[1] is None or not is_same_transaction(identity, known[0]):
        known = vars(connection)[_KNOWN] = (identity, _shown(connection))
    path: Path = known[1]
    return path


def _shown(connection: Any) -> Path:
    with connection.connection.cursor() as cursor:  # not one of Django's, which logs and counts queries
        cursor.execute("SHOW search_path")
        return _parsed(cursor.fetchone()[0], connection)


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
