"""Updates of tables that are not ordinary: views, tables whose rows share a key, tables with triggers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models.expressions import RawSQL
from django.db.models.sql import UpdateQuery
from django.db.models.sql.constants import NO_RESULTS
from django.db.models.sql.where import AND, ExtraWhere

from heliograph.bulk.read import Reading
from heliograph.bulk.sql import Table, are_sent_as_stored, fetched, returning, selecting
from heliograph.changes.chunks import in_chunks
from heliograph.changes.rows import Updated
from heliograph.databases.pieces import ROW_NUMBER


def update_carefully(reading: Reading) -> Updated:
    """Update rows, and read their values again from the database."""
    columns = _columns(reading)
    old = _read(reading, columns)
    size = len(reading.plan.fields)
    reading.call_before(reading.rows_of([(*row[:size], *reading.new_values(row)) for row in old]))
    if not columns:
        return _update_by_itself(reading, old)
    found = {tuple(row[size:]): tuple(row[:size]) for row in old}
    if reading.database.keeps_locators:
        return reading.rows_of(_written_by_locators(reading, found))
    return reading.rows_of(_written(reading, columns, found))


def _columns(reading: Reading) -> Sequence[str]:
    """Return the columns that identify a row of the table; none for a view, or if several tables are written."""
    if reading.compiler.query.related_updates or not are_sent_as_stored(reading.fields):
        return ()
    return reading.database.locators(reading.connection, reading.model._meta.db_table)


def _read(reading: Reading, columns: Sequence[str] = ()) -> Table:
    """Lock and read the rows that the update is about, with the columns that identify them."""
    table = reading.connection.ops.quote_name(reading.model._meta.db_table)
    located = [RawSQL(f"{table}.{column}", ()) for column in columns]
    query = selecting(reading.compiler.query, reading.plan.fields, located, locks=True)
    query.select_for_no_key_update = reading.connection.features.has_select_for_no_key_update
    sql, params = query.get_compiler(connection=reading.connection).as_sql()
    return fetched(reading.compiler, sql, params, reading.plan.fields)


# --- rows that have locators --------------------------------------------------------------------------------------


Found = dict[tuple[Any, ...], tuple[Any, ...]]  # rows by the values of their locator columns


def _written_by_locators(reading: Reading, old: Found) -> Table:
    """Update rows by their locators, and return their old and new values.

    This is safe where a locked row keeps its locators until it is updated (PostgreSQL).
    """
    statement = reading.statement()
    if statement is None or not old:
        return []
    update, params, _ = statement
    quoted = reading.connection.ops.quote_name(reading.model._meta.db_table)
    news = returning(reading.connection, reading.fields)
    sql = f"{update}{reading.database.at_locators(quoted)}{news}, {ROW_NUMBER}"
    rows = fetched(reading.compiler, sql, (*params, *map(list, zip(*old, strict=True))), reading.fields)
    values = [*old.values()]
    return [(*values[row[-1] - 1], *row[:-1]) for row in rows]


def _written(reading: Reading, columns: Sequence[str], old: Found) -> Table:
    """Update the rows that were found, and return their old and new values (SQLite, MariaDB)."""
    written: list[tuple[Any, ...]] = []
    new: Found = {}
    is_moved = _is_moved(reading, columns)
    for some in in_chunks(reading.model, reading.using, [*old]):
        written += _update_at(reading, columns, some)
        if not is_moved:
            new |= _read_at(reading, columns, some)
    if is_moved:  # the update sets the locators, so the rows cannot be found again
        return [(*values, *reading.new_values(values)) for values in old.values()]
    keys = reading.plan.keys
    return [(*old[at], *new[at][keys:]) for at in written if at in new and at in old]


def _is_moved(reading: Reading, columns: Sequence[str]) -> bool:
    quote = reading.connection.ops.quote_name
    return bool(reading.moved) or any(quote(field.column) in columns for field in reading.values)


def _update_at(reading: Reading, columns: Sequence[str], located: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
    """Update rows by their locators, and return the locators of the rows that the database has really updated.

    MariaDB does not report them: there, all locators are returned.
    """
    query: Any = _at(reading, columns, located)
    query.values, query.order_by = reading.compiler.query.values, reading.compiler.query.order_by
    sql, params = query.get_compiler(reading.using).as_sql()
    if reading.database.returns_rows(reading.connection, of="UPDATE"):
        written = fetched(reading.compiler, f"{sql} RETURNING {', '.join(columns)}", params, ())
        return [*map(tuple, written)]
    with reading.connection.cursor() as cursor:
        cursor.execute(sql, params)
    return located


def _read_at(reading: Reading, columns: Sequence[str], located: Sequence[Any]) -> Found:
    """Return the present values of the rows with these locators."""
    fields = reading.plan.fields
    query = selecting(_at(reading, columns, located), fields, [RawSQL(column, ()) for column in columns], locks=False)
    sql, params = query.get_compiler(connection=reading.connection).as_sql()
    table = fetched(reading.compiler, sql, params, fields)
    return {tuple(row[len(fields) :]): tuple(row[: len(fields)]) for row in table}


def _at(reading: Reading, columns: Sequence[str], located: Sequence[Any]) -> Any:
    """Return a query for the rows with these locators."""
    query: Any = UpdateQuery(reading.model)
    query.get_initial_alias()
    one = f"({', '.join(['%s'] * len(columns))})"
    sql = f"({', '.join(columns)}) IN ({', '.join([one] * len(located))})"
    query.where.add(ExtraWhere([sql], [value for of_row in located for value in of_row]), AND)
    return query


# --- rows without locators: of views, and of several tables -------------------------------------------------------


def _update_by_itself(reading: Reading, old: Table) -> Updated:
    """Execute Django's own statement after the rows were read, so that exactly its rows are written.

    Only rows whose key no other row shares have both old and new values; the others have UNKNOWN.
    """
    sql, params = reading.compiler.as_sql()
    fields, is_of_parents = reading.plan.fields, bool(reading.compiler.query.related_updates)
    is_returned = reading.database.returns_rows_of_views and not is_of_parents
    if is_returned and are_sent_as_stored(fields):
        new = fetched(reading.compiler, sql + returning(reading.connection, fields), params, fields)
        return reading.rows_of(_with_old_values(reading, _single(reading, old), new))
    if is_of_parents:
        update_these(reading, [*by_key(reading, old)])
    else:
        with reading.connection.cursor() as cursor:
            cursor.execute(sql, params)
    return reading.rows_of(_with_new_values(reading, old))


def _with_old_values(reading: Reading, old: dict[Any, Sequence[Any]], new: Table) -> Table:
    keys, unknown = reading.plan.keys, reading.plan.unknown
    return [(*(old.get(reading.plan.key_of(row)) or (*row[:keys], *unknown[keys:])), *row[keys:]) for row in new]


def _with_new_values(reading: Reading, old: Table) -> Table:
    keys, known = reading.plan.keys, _single(reading, old)
    if reading.moved:  # the rows have new keys, and cannot be found again
        return [(*row, *reading.new_values(row)) for row in old]
    new = _single(reading, read_these(reading, [*known]))
    unknown = reading.plan.unknown
    return [(*row, *new.get(reading.plan.key_of(row), unknown)[keys:]) for row in old]


def _single(reading: Reading, table: Table) -> dict[Any, Sequence[Any]]:
    """Return the rows whose key no other row of the table shares, by their keys."""
    times = Counter(map(reading.plan.key_of, table))
    return {key: row for key, row in by_key(reading, table).items() if times[key] == 1}


# --- rows by their keys -------------------------------------------------------------------------------------------


def by_key(reading: Reading, table: Table) -> dict[Any, Sequence[Any]]:
    """Return rows by their primary keys."""
    return {reading.plan.key_of(row): row for row in table}


def update_these(reading: Reading, keys: Sequence[Any]) -> None:
    """Update the rows with these primary keys."""
    query = reading.compiler.query
    for some in _chunks(reading, keys) if query.values else ():
        update: Any = UpdateQuery(reading.model)
        update.values, update.order_by = query.values, query.order_by
        update.add_filter("pk__in", some)
        update.get_compiler(reading.using).execute_sql(NO_RESULTS)
    for one in query.get_related_updates():
        one.get_compiler(reading.using).execute_sql(NO_RESULTS)


def read_these(reading: Reading, keys: Sequence[Any]) -> Table:
    """Read the present values of the rows with these primary keys."""
    names = [one.attname for one in reading.plan.fields]
    rows = reading.model._base_manager.using(reading.using)
    return [row for some in _chunks(reading, keys) for row in rows.filter(pk__in=some).values_list(*names)]


def _chunks(reading: Reading, keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return in_chunks(reading.model, reading.using, keys)
