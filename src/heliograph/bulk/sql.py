"""Pieces of SQL for statements that read the rows that they write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import NoneType
from typing import Any

from django.db import connections
from django.db.models.sql import Query

from heliograph.changes.columns import Columns
from heliograph.changes.values import SCALARS

Table = list[Sequence[Any]]


def selecting(query: Any, fields: Sequence[Any], computed: Sequence[Any] = (), *, locks: bool) -> Any:
    """Return a query for values of the rows that an update will write; its condition is on one table."""
    select: Any = query.chain(klass=Query)
    base = select.get_initial_alias()
    # Without joins, which the condition needed before it became a condition on the primary key.
    select.alias_map, select.alias_refcount = {base: select.alias_map[base]}, {base: 1}
    select.clear_ordering(force=True)
    select.clear_select_clause()
    select.distinct, select.extra, select.group_by = False, {}, None
    select.add_fields([field.attname for field in fields], allow_m2m=False)
    select.select = (*select.select, *computed)
    lock(select, is_wanted=locks)
    return select


def lock(select: Any, *, is_wanted: bool = True) -> None:
    """Let a query lock its rows as a write does, which waits for other transactions; or let it lock none."""
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
    """Execute a statement, and return its rows: converted values of these fields, and further values as they are."""
    rows: Table = _sent(compiler, sql, params)
    converters = compiler.get_converters(columns(fields))
    return [*map(tuple, compiler.apply_converters(rows, converters))] if converters else rows


def fetched_columns(compiler: Any, sql: str, params: Sequence[Any], fields: Sequence[Any]) -> Columns:
    """Execute a statement, and return its columns, each of which is converted when somebody asks for it."""
    converters = compiler.get_converters(columns(fields))
    of_columns = {at: partial(_converted, compiler.connection, *one) for at, one in converters.items()}
    return Columns(_sent(compiler, sql, params), of_columns)


def _sent(compiler: Any, sql: str, params: Sequence[Any]) -> Any:
    with compiler.connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def _converted(
    connection: Any, converters: Sequence[Callable[..., Any]], expression: Any, values: Sequence[Any]
) -> Sequence[Any]:
    """Return the converted values of a column; equal values are converted once, if the result cannot be changed."""
    distinct = {*values} if _are_alike(values) else set()
    once = dict(zip(distinct, _each(connection, converters, expression, [*distinct]), strict=True))
    if distinct and SCALARS.issuperset(map(type, once.values())):
        return [*map(once.__getitem__, values)]
    return _each(connection, converters, expression, values)


def _each(
    connection: Any, converters: Sequence[Callable[..., Any]], expression: Any, values: Sequence[Any]
) -> Sequence[Any]:
    for converter in converters:
        values = [converter(value, expression, connection) for value in values]
    return values


def _are_alike(values: Sequence[Any]) -> bool:
    """Return whether values are of one type that Python compares as the database does: 1 and 1.0 are not alike."""
    types = {*map(type, values)} - {NoneType}
    return len(types) == 1 and types <= SCALARS


def are_sent_as_stored(fields: Iterable[Any]) -> bool:
    """Return whether RETURNING gives the values of fields as a SELECT does: some put a function around them."""
    return all(_is_of_django(type(one).get_col) and _is_of_django(type(one).select_format) for one in fields)


def _is_of_django(method: Any) -> bool:
    return str(method.__module__).startswith("django.db.")


def locking(rows: Any) -> Any:
    """Return a query whose rows are locked as an update locks them, where the database has locks of rows."""
    no_key = connections[rows.db].features.has_select_for_no_key_update
    return rows.order_by("pk").select_for_update(
        no_key=no_key
    )  # in one order, so that no two transactions wait for each other
