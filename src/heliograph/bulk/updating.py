"""Updates: statements that change rows, and the values of these before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models import IntegerField, Model
from django.db.models.expressions import Col, CombinedExpression, Value
from django.db.models.lookups import Lookup
from django.db.models.sql import UpdateQuery
from django.db.models.sql.constants import NO_RESULTS
from django.db.models.sql.where import WhereNode

from heliograph.bulk.sql import Table, are_sent_as_stored, fetched, returning, returns_rows, selecting
from heliograph.bulk.writing import in_transaction
from heliograph.changes.chunks import in_chunks
from heliograph.changes.plans import plan_for, watched_among
from heliograph.changes.rows import Updated
from heliograph.changes.values import UNKNOWN, as_stored, is_expression, may_mutate

# Through which the rows of updates are heard.
SIGNALS = ("post_update", "post_save", "m2m_changes")


@dataclass(eq=False)
class Update:
    """The statements of an update: they read what they write, as few as the database needs for that."""

    model: Any
    using: str
    reads_all: bool  # the values of all fields that are written; otherwise of those that receivers watch
    tell: Callable[[Updated], None]  # what each statement is told to, in its transaction

    def replaces(self, query: Any) -> bool:
        """Return whether a query is one of them."""
        return isinstance(query, UpdateQuery) and query.model is self.model

    def execute(self, compiler: Any, inner: Callable[[], Any], *args: Any) -> Any:
        """Update, and return the number of rows."""
        if compiler.query.is_empty():
            return inner()
        with in_transaction(self.using, self.model):
            if _is_left_to_django(compiler.query):
                return inner()
            reading = Reading(self.model, self.using, self.reads_all, compiler)
            try:
                rows = self._way(compiler, reading)(reading)
            except EmptyResultSet:
                return inner()
            self.tell(rows)
        return len(rows)

    def _way(self, compiler: Any, reading: Reading) -> Callable[[Reading], Updated]:
        query = compiler.query
        if query.related_updates or not are_sent_as_stored(reading.fields):
            return _update_locked
        if compiler.connection.vendor == "postgresql":
            return _update_at_once
        # The condition is asked twice there, and must have the same answer.
        is_sure = returns_rows(compiler.connection, of="UPDATE") and _is_plain(query.where)
        return _update_after_reading if is_sure else _update_locked


def _is_left_to_django(query: Any) -> bool:
    """Return whether an update sets nothing, or has a condition that the database will refuse: on an aggregate."""
    query.get_initial_alias()
    is_refused = query.count_active_tables() == 1 and getattr(query.where, "contains_aggregate", False)
    return is_refused or not (query.values or query.related_updates)


class Reading:
    """What an update reads of its rows: the primary key, the old values, and the new ones where these differ."""

    def __init__(self, model: Any, using: str, reads_all: bool, compiler: Any) -> None:
        self.model = model
        self.using = using
        self.compiler = compiler
        self.connection = compiler.connection
        query = compiler.query
        self.values = {one: value for one, _, value in [*query.values, *_of_parents(query)]}
        self.keys = model._meta.pk_fields
        # Rows are told by the keys that they had: where these are written, it takes the new ones to find the rows.
        self.moved = [key for key in self.keys if key in self.values]
        # A row under a new key is told as one that is gone, with all of its old values, and one that is new.
        watched = [*self.values] if reads_all or self.moved else watched_among(model, self.values)
        self.fields = [*dict.fromkeys([*watched, *self.moved])]
        self.plan = plan_for(model, self.fields)

    @cached_property
    def news(self) -> list[Any]:
        """The new value of each field: itself, an expression that is the same before the update, or UNKNOWN."""
        news = [_new(one, self.values) for one in self.fields]
        if self.moved and UNKNOWN in news:
            return [UNKNOWN if is_expression(new) else new for new in news]
        return news

    @property
    def asks_again(self) -> bool:
        """Whether the rows are to be read after the update too; they cannot be where nobody knows their new keys."""
        return UNKNOWN in self.news and not self.moved

    @property
    def constants(self) -> tuple[Any, ...] | None:
        """The new values, if they are the same for all rows, or unknown for good."""
        return None if self.asks_again or any(map(is_expression, self.news)) else tuple(self.news)

    def rows(self, table: Table, constants: tuple[Any, ...] | None) -> Updated:
        """Return what was done to the rows of a table."""
        names = frozenset(one.name for one in self.values)
        return Updated(self.model, self.using, names, self.plan, table, constants)


# --- three ways ---------------------------------------------------------------------------------------------------


def _update_at_once(reading: Reading) -> Updated:
    """Update by one statement, which returns the values before and after (PostgreSQL).

    Before version 18 its RETURNING has no old values; those of a locked row in FROM are what the update has found.
    """
    compiler, fields = reading.compiler, reading.plan.fields
    sql, params = compiler.as_sql()
    if not reading.fields:
        return reading.rows(fetched(compiler, sql + returning(reading.connection, fields), params, fields), ())
    where, where_params = _where(compiler)
    if not sql.endswith(where):  # somebody has added to the statement
        return _update_locked(reading)
    update = sql.removesuffix(where)
    old = selecting(compiler.query, fields, locks=True)
    old.select_for_no_key_update = True
    old_sql, old_params = old.get_compiler(connection=compiler.connection).as_sql(with_col_aliases=True)
    quote, table = reading.connection.ops.quote_name, reading.model._meta.db_table
    names = [f"{_OLD}.{quote(f'col{at}')}" for at in range(1, len(fields) + 1)]
    joins = [f"{quote(table)}.{quote(key.column)} = {name}" for key, name in zip(reading.keys, names, strict=False)]
    news = returning(reading.connection, reading.fields).removeprefix(" RETURNING ")
    sql = f"{update} FROM ({old_sql}) {_OLD} WHERE {' AND '.join(joins)} RETURNING {', '.join(names)}, {news}"
    params = (*params[: len(params) - len(where_params)], *old_params)
    return reading.rows(fetched(compiler, sql, params, [*fields, *reading.fields]), None)


_OLD = "heliograph_old"


def _update_after_reading(reading: Reading) -> Updated:
    """Update by one statement, and read the same rows by another before it (SQLite, which lets nobody in between)."""
    compiler, fields = reading.compiler, reading.plan.fields
    sql, params = compiler.as_sql()
    if not reading.fields:
        return reading.rows(fetched(compiler, sql + returning(reading.connection, fields), params, fields), ())
    if not reading.asks_again:
        table = _read(reading)
        with reading.connection.cursor() as cursor:
            cursor.execute(sql, params)
        return reading.rows(table, reading.constants)
    old = _by_key(reading, _read(reading))
    new = fetched(compiler, sql + returning(reading.connection, fields), params, fields)
    return reading.rows(_joined(reading, old, _by_key(reading, new)), None)


def _update_locked(reading: Reading) -> Updated:
    """Lock and read the rows, update these, and read again what could not be known (MariaDB, several tables)."""
    compiler = reading.compiler
    compiler.pre_sql_setup()  # what refers to other tables becomes a condition on the primary key
    old = _read(reading, locks=True)
    keys = [*_by_key(reading, old)]
    _update_these(reading, keys)
    if not reading.asks_again:
        return reading.rows(old, reading.constants)
    new = [row for some in _chunks(reading, keys) for row in _read_these(reading, some)]
    return reading.rows(_joined(reading, _by_key(reading, old), _by_key(reading, new)), None)


# --- their steps --------------------------------------------------------------------------------------------------


def _read(reading: Reading, *, locks: bool = False) -> Table:
    """Read the rows that the update is about, with the new values that can be computed from the old ones."""
    fields, news = reading.plan.fields, reading.news
    computed = [] if UNKNOWN in news else [new for new in news if is_expression(new)]
    query = selecting(reading.compiler.query, fields, computed, locks=locks)
    query.select_for_no_key_update = reading.connection.features.has_select_for_no_key_update
    sql, params = query.get_compiler(connection=reading.connection).as_sql()
    table = fetched(reading.compiler, sql, params, fields)
    if not computed or len(computed) == len(news):
        return table
    return [(*row[: len(fields)], *_mixed(news, iter(row[len(fields) :]))) for row in table]


def _mixed(news: Sequence[Any], computed: Iterator[Any]) -> Iterator[Any]:
    return (next(computed) if is_expression(new) else new for new in news)


def _where(compiler: Any) -> tuple[str, Sequence[Any]]:
    """Return the end of a statement that was compiled already, with its parameters."""
    try:
        sql, params = compiler.compile(compiler.query.where)
    except FullResultSet:
        return "", ()
    return f" WHERE {sql}", params


def _update_these(reading: Reading, keys: Sequence[Any]) -> None:
    """Update the rows with these primary keys."""
    query = reading.compiler.query
    for some in _chunks(reading, keys) if query.values else ():
        update: Any = UpdateQuery(reading.model)
        update.values, update.order_by = query.values, query.order_by
        update.add_filter("pk__in", some)
        update.get_compiler(reading.using).execute_sql(NO_RESULTS)
    for one in query.get_related_updates():
        one.get_compiler(reading.using).execute_sql(NO_RESULTS)


def _read_these(reading: Reading, keys: Sequence[Any]) -> Table:
    """Read what is in these rows now."""
    names = [one.attname for one in reading.plan.fields]
    rows = reading.model._base_manager.using(reading.using).filter(pk__in=keys)
    return list(rows.values_list(*names))


def _chunks(reading: Reading, keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return in_chunks(reading.model, reading.using, keys)


def _by_key(reading: Reading, table: Table) -> dict[Any, Sequence[Any]]:
    return {reading.plan.key_of(row): row for row in table}


def _joined(reading: Reading, old: dict[Any, Sequence[Any]], new: dict[Any, Sequence[Any]]) -> Table:
    """Return rows with their old and new values."""
    keys, unknown = reading.plan.keys, reading.plan.unknown
    return [(*(old.get(key) or (*row[:keys], *unknown[keys:])), *row[keys:]) for key, row in new.items()]


# --- what an update sets ------------------------------------------------------------------------------------------


def _of_parents(query: Any) -> Iterator[tuple[Any, Any, Any]]:
    return (one for values in query.related_updates.values() for one in values)


def _new(one: Any, values: dict[Any, Any]) -> Any:
    """Return the new value of a field: itself, an expression that is the same before the update, or UNKNOWN."""
    value = values.get(one, UNKNOWN)  # a generated field is none of them
    if isinstance(value, Model):
        value = value.prepare_database_save(one)
    if not is_expression(value):
        is_told = value is not UNKNOWN and not may_mutate(one) and are_sent_as_stored([one])
        return as_stored(one, value) if is_told else UNKNOWN
    others = {*values} - {one}  # MariaDB sets one after the other
    return value if isinstance(one, IntegerField) and _is_integer(value, others) else UNKNOWN


def _is_integer(value: Any, others: set[Any]) -> bool:
    """Return whether an expression computes an integer of others that stay as they are until it is stored."""
    if isinstance(value, Value):
        return type(value.value) is int
    if isinstance(value, Col):
        return isinstance(value.target, IntegerField) and value.target not in others
    is_exact = isinstance(value, CombinedExpression) and value.connector in ("+", "-", "*")
    return is_exact and _is_integer(value.lhs, others) and _is_integer(value.rhs, others)


def _is_plain(where: Any) -> bool:
    """Return whether a condition is about the values of the row and nothing else."""
    if isinstance(where, WhereNode):
        return all(map(_is_plain, where.children))
    if not isinstance(where, Lookup) or not isinstance(where.lhs, Col):
        return False
    return not any(map(is_expression, where.rhs if isinstance(where.rhs, list | tuple | set) else [where.rhs]))
