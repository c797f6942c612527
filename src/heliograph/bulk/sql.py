"""SQL: the pieces of statements that read the rows they write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import connections
from django.db.models.sql import Query

Table = list[Sequence[Any]]


def selecting(query: Any, fields: Sequence[Any], computed: Sequence[Any] = (), *, locks: bool) -> Any:
    """Return a query for values of the rows that an update, whose condition is on one table, is about."""
    select: Any = query.chain(klass=Query)
    base = select.get_initial_alias()
    # Joins that the condition needed before it became one on the primary key.
    select.alias_map, select.alias_refcount = {base: select.alias_map[base]}, {base: 1}
    select.clear_ordering(force=True)
    select.clear_select_clause()
    select.distinct, select.extra, select.group_by = False, {}, None
    select.add_fields([field.attname for field in fields], allow_m2m=False)
    select.select = (*select.select, *computed)
    lock(select, is_wanted=locks)
    return select


def lock(select: Any, *, is_wanted: bool = True) -> None:
    """Lock the rows of a query, or not: waiting for others, as a write does, whatever its own lock was to be."""
    select.select_for_update = is_wanted
    select.select_for_update_nowait = select.select_for_update_skip_locked = False
    select.select_for_update_of = ()


def columns(fields: Sequence[Any]) -> list[Any]:
    """Return the columns of fields in the tables of their models."""
    return [field.get_col(field.model._meta.db_table) for field in fields]


def returning(connection: Any, fields: Sequence[Any]) -> str:
    """Return the clause by which a statement returns these columns of the rows that it has written."""
    operations = connection.ops
    clause: Callable[..., Any] = getattr(operations, "returning_columns", None) or operations.return_insert_columns
    sql, _ = clause(fields)  # Oracle alone has parameters
    return f" {sql}"


def fetched(compiler: Any, sql: str, params: Sequence[Any], fields: Sequence[Any]) -> Table:
    """Execute a statement, and return its rows: the values of these fields, and what comes after them as it is."""
    with compiler.connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: Table = cursor.fetchall()
    converters = compiler.get_converters(columns(fields))
    return [*map(tuple, compiler.apply_converters(rows, converters))] if converters else rows


def are_sent_as_stored(fields: Iterable[Any]) -> bool:
    """Return whether RETURNING gives the values of fields as a SELECT does: some put a function around them."""
    return all(_is_of_django(type(one).get_col) and _is_of_django(type(one).select_format) for one in fields)


def _is_of_django(method: Any) -> bool:
    return str(method.__module__).startswith("django.db.")


def locking(rows: Any) -> Any:
    """Return a query whose rows are locked as an update locks them, where the database has locks of rows."""
    no_key = connections[rows.db].features.has_select_for_no_key_update
    return rows.order_by("pk").select_for_update(no_key=no_key)  # all in one order, so that two do not wait in a circle


def returns_rows(connection: Any, *, of: str) -> bool:
    """Return whether an "INSERT", "UPDATE" or "DELETE" can return the rows that it has written."""
    if connection.vendor == "mysql":
        return bool(connection.mysql_is_mariadb) and of != "UPDATE"
    return connection.vendor in ("postgresql", "sqlite") and connection.features.can_return_columns_from_insert
