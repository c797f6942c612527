"""Conditions on a table, which a statement adds to itself.

A table has a key if no two rows share a primary key of the model. In a partitioned table, a view or the table of
another application, several rows may share one. The statement that reads or writes the rows asks the database for
this, and the answer is not cached, since a migration or a search path may give the name to another table.
"""

from __future__ import annotations

from typing import Any

from heliograph.databases import database_of
from heliograph.databases.pieces import SQL


def has_key(connection: Any, model: Any) -> SQL:
    """Return a condition that holds if no two rows of a model's table can have the same primary key."""
    columns = [field.column for field in model._meta.pk_fields]
    return database_of(connection).has_key(connection, model._meta.db_table, columns)


def is_ordinary(connection: Any, model: Any) -> SQL:
    """Return a condition that holds if a table has a key, and no trigger that could change the values of an UPDATE."""
    key, params = has_key(connection, model)
    triggers, more = database_of(connection).has_no_triggers(connection, model._meta.db_table)
    return f"({key} AND {triggers})", [*params, *more]


def holds(connection: Any, condition: SQL) -> bool:
    """Return whether a condition on a table holds now."""
    sql, params = condition
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        return bool(cursor.fetchone()[0])
