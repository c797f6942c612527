"""The statements of an update: they change rows, and return the values of these before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models.expressions import Col, RawSQL
from django.db.models.lookups import Lookup
from django.db.models.sql import UpdateQuery
from django.db.models.sql.where import WhereNode

from heliograph.bulk.careful_updates import by_key, read_these, update_carefully, update_these
from heliograph.bulk.read import UNCHANGED, BeforeUpdate, Reading
from heliograph.bulk.sql import (
    Table,
    fetched,
    fetched_columns,
    returning,
    selecting,
)
from heliograph.bulk.tables import has_key, holds
from heliograph.bulk.write import in_transaction
from heliograph.changes.columns import Columns
from heliograph.changes.rows import Updated
from heliograph.changes.values import is_expression
from heliograph.databases.pieces import SQL


@dataclass(eq=False)
class Update:
    """The statements of an update, which return the rows that they have written: as few as the database needs."""

    model: Any
    using: str
    reads_all: bool  # the values of all written fields; otherwise of the watched fields only
    deliver: Callable[[Updated], None]  # called with the rows of each statement, in its transaction
    is_ordered: bool = False  # rows are locked in the order of their keys, so that two do not wait in a circle
    before: BeforeUpdate | None = None  # called with the rows of each statement when they are locked, before it

    def replaces(self, query: Any) -> bool:
        """Return whether a query is executed here: it is an update of the model."""
        return isinstance(query, UpdateQuery) and query.model is self.model

    def execute(self, compiler: Any, inner: Callable[[], Any], *args: Any) -> Any:
        """Update, and return the number of rows."""
        if compiler.query.is_empty():
            return inner()
        with in_transaction(self.using, self.model):
            if _is_left_to_django(compiler.query):
                return inner()
            is_ordered = self.is_ordered or self.before is not None
            reading = Reading(self.model, self.using, self.reads_all, is_ordered, compiler, self.before)
            try:
                rows = self._way(compiler, reading)(reading)
            except EmptyResultSet:
                return inner()
            if rows.table.sent:
                self.deliver(rows)
        return len(rows.table.sent)

    def _way(self, compiler: Any, reading: Reading) -> Callable[[Reading], Updated]:
        query = compiler.query
        if self.before is not None or query.related_updates or not reading.asked.are_sent_as_stored:
            return _update_locked
        if reading.database.updates_from_subquery:
            return _update_at_once
        # Two statements have the condition then, so it must choose the same rows twice.
        is_sure = reading.table.returns_updated and _is_plain(query.where)
        return _update_after_reading if is_sure else _update_locked


def _is_left_to_django(query: Any) -> bool:
    """Return whether an update sets nothing, or has a condition on an aggregate, which the database will refuse."""
    query.get_initial_alias()
    is_refused = query.count_active_tables() == 1 and getattr(query.where, "contains_aggregate", False)
    return is_refused or not (query.values or query.related_updates)


# --- the three ways to update an ordinary table; `careful_updates.py` has the way for other tables ----------------


def _update_at_once(reading: Reading) -> Updated:
    """Update by one statement, which returns the values before and after (PostgreSQL).

    RETURNING has no old values before version 18, so they come from a subquery in FROM that locks the rows. If the
    table is not as the statement needs it, the statement writes nothing, and the next one is tried.
    """
    if not reading.fields:
        return _update_returning_keys(reading)
    statement = reading.statement()
    if statement is None:
        return _update_locked(reading)
    for condition, fields in _needs(reading):
        values = _updated_at_once(reading, statement, condition, fields)
        if values.sent or holds(reading.connection, condition):
            return reading.rows(values, reading.returned(fields))
    return update_carefully(reading)


def _needs(reading: Reading) -> Iterator[tuple[SQL, Sequence[Any]]]:
    """Yield conditions on the table, each with the fields whose new values must be returned if it holds.

    A field that the update does not set is returned after it only where a trigger may change it.
    """
    written = [field for field, new in zip(reading.fields, reading.news, strict=True) if new is not UNCHANGED]
    if written and len(written) < len(reading.fields):
        yield reading.table.is_ordinary, written
    yield has_key(reading.connection, reading.model), reading.fields


def _updated_at_once(
    reading: Reading, statement: tuple[str, Sequence[Any], Sequence[Any]], condition: SQL, fields: Sequence[Any]
) -> Columns:
    """Update the rows if a condition on the table holds, and return their old values and the new ones of fields."""
    (update, params, _), (on_table, table_params), (old, old_params) = statement, condition, _locked(reading)
    quote, table = reading.connection.ops.quote_name, reading.model._meta.db_table
    names = [f"{_OLD}.{quote(f'col{at}')}" for at in range(1, len(reading.plan.fields) + 1)]
    joins = [f"{quote(table)}.{quote(key.column)} = {name}" for key, name in zip(reading.keys, names, strict=False)]
    news = returning(reading.connection, fields).removeprefix(" RETURNING ")
    where = " AND ".join([*joins, on_table])
    sql = f"{update} FROM ({old}) {_OLD} WHERE {where} RETURNING {', '.join(names)}, {news}"
    all_params = (*params, *old_params, *table_params)
    return fetched_columns(reading.compiler, sql, all_params, [*reading.plan.fields, *fields])


_OLD = "heliograph_old"


def _update_returning_keys(reading: Reading) -> Updated:
    """Execute Django's own statement, which returns the keys; no receiver asks for a value."""
    sql, params = reading.compiler.as_sql()
    sql += returning(reading.connection, reading.plan.fields)
    return reading.rows(fetched_columns(reading.compiler, sql, params, reading.plan.fields), range(reading.plan.keys))


def _update_after_reading(reading: Reading) -> Updated:
    """Read the rows by one statement, and update them by a second (SQLite: no other transaction writes in between)."""
    if not reading.fields:
        return _update_returning_keys(reading)
    compiler, fields = reading.compiler, reading.plan.fields
    sql, params = compiler.as_sql()
    read = _read(reading)
    if read is None:
        return update_carefully(reading)
    if not reading.asks_again:
        with reading.connection.cursor() as cursor:
            cursor.execute(sql, params)
        return reading.rows_before(read)
    new = fetched(compiler, sql + returning(reading.connection, fields), params, fields)
    return reading.rows_of(_joined(reading, by_key(reading, read.rows(len(reading.plan.fields))), by_key(reading, new)))


def _update_locked(reading: Reading) -> Updated:
    """Lock and read the rows, update them by key, and read again the values that are not known.

    So it is on MariaDB, and on every database if somebody asks for the rows before they are updated.
    """
    reading.compiler.pre_sql_setup()  # a condition on other tables becomes a condition on the primary key
    read = _read(reading, locks=True)
    if read is None:
        return update_carefully(reading)
    rows = reading.rows_before(read)
    reading.call_before(rows)
    if not reading.asks_again:
        update_these(reading, rows.pks)
        return rows
    old = by_key(reading, read.rows(len(reading.plan.fields)))
    update_these(reading, [*old])
    return reading.rows_of(_joined(reading, old, by_key(reading, read_these(reading, [*old]))))


# --- steps of the ways --------------------------------------------------------------------------------------------


def _locked(reading: Reading) -> tuple[str, Sequence[Any]]:
    """Return the query that locks and reads the rows, as a part of a statement."""
    query = selecting(reading.compiler.query, reading.plan.fields, locks=True)
    query.select_for_no_key_update = True
    if reading.is_ordered:
        query.add_ordering("pk")
    sql, params = query.get_compiler(connection=reading.connection).as_sql(with_col_aliases=True)
    return sql, params


def _read(reading: Reading, *, locks: bool = False) -> Columns | None:
    """Read the rows that the update is about, with the new values that can be computed from the old ones.

    None if several rows of the table may share a key, or a trigger may change values, or nobody knows.
    """
    if not reading.database.describes_tables:
        return None
    fields = reading.plan.fields
    asked = [*reading.computed, RawSQL(*reading.table.is_ordinary)]
    query = selecting(reading.compiler.query, fields, asked, locks=locks)
    query.select_for_no_key_update = reading.connection.features.has_select_for_no_key_update
    if reading.is_ordered:
        query.add_ordering("pk")
    sql, params = query.get_compiler(connection=reading.connection).as_sql()
    table = fetched_columns(reading.compiler, sql, params, fields)
    *_, is_ordinary = table.sent[0] if table.sent else [True]  # the last value, which is the same in all rows
    return table if is_ordinary else None


def _joined(reading: Reading, old: dict[Any, Sequence[Any]], new: dict[Any, Sequence[Any]]) -> Table:
    """Return rows with their old and new values."""
    keys, unknown = reading.plan.keys, reading.plan.unknown
    return [(*(old.get(key) or (*row[:keys], *unknown[keys:])), *row[keys:]) for key, row in new.items()]


def _is_plain(where: Any) -> bool:
    """Return whether a condition is about the values of the row and nothing else."""
    if isinstance(where, WhereNode):
        return all(map(_is_plain, where.children))
    if not isinstance(where, Lookup) or not isinstance(where.lhs, Col):
        return False
    return not any(map(is_expression, where.rhs if isinstance(where.rhs, list | tuple | set) else [where.rhs]))
