"""The values that an update reads: the old values of its rows, and the new values as far as they are known before."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.core.exceptions import FullResultSet
from django.db.models import DecimalField, IntegerField, Model
from django.db.models.expressions import Col, CombinedExpression, Value

from heliograph.bulk.sql import Table, are_sent_as_stored
from heliograph.bulk.tables import is_ordinary
from heliograph.changes.columns import Columns, Constant, Source
from heliograph.changes.plans import PLANS, Plan, plan_for, watched_among, watched_fields, with_columns_beside
from heliograph.changes.rows import Updated
from heliograph.changes.values import UNKNOWN, as_stored, is_expression, may_mutate, prepared
from heliograph.databases import database_of
from heliograph.databases.general import Database
from heliograph.databases.pieces import SQL


@dataclass(frozen=True, eq=False)
class FieldsToRead:
    """The fields that an update reads, which are the same for all updates that set the same fields of a model."""

    names: frozenset[str]  # of the fields that the update sets
    plan: Plan  # the primary key and the fields that are read
    moved: Sequence[Any]  # the fields of the primary key that the update sets
    left_alone: frozenset[Any]  # the fields that keep their value
    prepare: dict[Any, Callable[[Any, Any], Any]]  # by field: makes the new value of the assigned value
    are_sent_as_stored: bool
    tables: dict[str, TableInDatabase] = field(default_factory=dict)  # the table of the model, by alias

    def table_in(self, connection: Any) -> TableInDatabase:
        """Return the table of the model in the database of a connection."""
        found = self.tables.get(connection.alias)
        if found is None:
            found = self.tables[connection.alias] = _table_in(connection, self.plan.model)
        return found


class TableInDatabase(NamedTuple):
    """The table of a model in one database, which may be able to return updated rows."""

    database: Database
    is_ordinary: SQL  # the condition that holds if no two rows share a key, and no trigger changes the values
    returns_updated: bool  # whether an UPDATE can return its rows


def _table_in(connection: Any, model: Any) -> TableInDatabase:
    database = database_of(connection)
    returns = database.returns_rows(connection, of="UPDATE")
    return TableInDatabase(database, is_ordinary(connection, model), returns)


def fields_to_read(model: Any, written: tuple[Any, ...], reads_all: bool) -> FieldsToRead:
    """Return the fields that an update of these fields reads; they are found once for each plan of the model."""
    options, watched = model._meta, PLANS.get(model)
    known: _Known | None = vars(options).get(_KNOWN)
    if known is None or known.is_outdated(options, watched):
        known = _Known(options.concrete_fields, options.db_table, None if watched is None else weakref.ref(watched), {})
        setattr(options, _KNOWN, known)
    found = known.of_updates.get((written, reads_all))
    if found is None:
        if len(known.of_updates) >= _MOST:
            known.of_updates.clear()
        found = known.of_updates[written, reads_all] = _found(model, written, reads_all)
    return found


class _Known(NamedTuple):
    """The fields to read for the updates of a model, as long as it has these columns, this table and this plan."""

    concrete_fields: Any
    db_table: str
    watched: weakref.ref[Plan] | None  # weak, since a plan keeps patches in place
    of_updates: dict[tuple[tuple[Any, ...], bool], FieldsToRead]

    def is_outdated(self, options: Any, watched: Plan | None) -> bool:
        """Return whether the model has got another field or table, or other fields are watched."""
        is_same_plan = watched is None if self.watched is None else watched is not None and self.watched() is watched
        is_same_model = self.concrete_fields is options.concrete_fields and self.db_table == options.db_table
        return not (is_same_plan and is_same_model)


_KNOWN = "_heliograph_fields_to_read"  # the attribute of a model's `_meta`, with which it is freed
_MOST = 100  # entries for each model, since code may set any combination of fields


def _found(model: Any, written: tuple[Any, ...], reads_all: bool) -> FieldsToRead:
    # Rows are identified by their old keys. If the update sets keys, only the new ones find the rows again.
    moved = [key for key in model._meta.pk_fields if key in written]
    # A row with a new key is reported as a deleted row, with all of its old values, and a created row.
    fields = [*(written if reads_all or moved else ()), *watched_among(model, written)]
    # A batch has the values of the other watched fields too: a total needs the order of a line whose price changes.
    fields += _beside(model, written) if fields else ()
    fields = with_columns_beside(model, [*dict.fromkeys([*fields, *moved])])
    return FieldsToRead(
        names=frozenset(one.name for one in written),
        plan=plan_for(model, fields),
        moved=moved,
        left_alone=frozenset(one for one in fields if one not in written and _is_left_alone(one)),
        prepare={
            one: as_stored if isinstance(one, DecimalField) else prepared
            for one in fields
            if not may_mutate(one) and are_sent_as_stored([one])
        },
        are_sent_as_stored=are_sent_as_stored(fields),
    )


# What is called before rows are updated, with the values that the update sets, by field.
BeforeUpdate = Callable[[Updated, Mapping[Any, Any]], None]


class Reading:
    """The values that one update reads: primary keys, old values, and new values that differ from row to row."""

    def __init__(
        self,
        model: Any,
        using: str,
        reads_all: bool,
        is_ordered: bool,
        compiler: Any,
        before: BeforeUpdate | None = None,
    ) -> None:
        self.model = model
        self.using = using
        self.is_ordered = is_ordered  # rows are locked in the order of their keys
        self.before = before
        self.compiler = compiler
        self.connection = compiler.connection
        query = compiler.query
        assigned = query.values if not query.related_updates else [*query.values, *_of_parents(query)]
        self.values = {one: value for one, _, value in assigned}
        self.asked = fields_to_read(model, tuple(self.values), reads_all)
        self.table = self.asked.table_in(self.connection)
        self.database = self.table.database
        self.plan = self.asked.plan
        self.keys = model._meta.pk_fields
        self.moved = self.asked.moved
        self.fields = self.plan.fields[self.plan.keys :]
        # The new value of each field: itself, an expression that is the same before the update, or UNKNOWN.
        self.news = _news(self.fields, self.values, self.asked)
        is_known = UNKNOWN not in self.news
        # Whether the rows are read after the update too; this is impossible if the update sets their keys.
        self.asks_again = not is_known and not self.moved
        # The expressions among the new values, which are read after the old values: if all new values are known then,
        # or somebody asks for those that are.
        is_asked = is_known or before is not None
        self.computed = [new for new in self.news if hasattr(new, "resolve_expression")] if is_asked else []

    def call_before(self, rows: Updated) -> None:
        """Let somebody have the rows before they are updated, if there are any."""
        if self.before is not None and len(rows):
            self.before(rows, self.values)

    def rows_before(self, table: Columns) -> Updated:
        """Return the updated rows of a table that was read before the update: old values, followed by computed ones."""
        computed = {id(new): at for at, new in enumerate(self.computed, len(self.plan.fields))}
        news = enumerate(self.news, self.plan.keys)
        after = (at if new is UNCHANGED else computed.get(id(new)) or Constant(new) for at, new in news)
        sources = [*range(self.plan.keys), *after]
        return Updated(self.model, self.using, self.asked.names, self.plan, table, sources)

    def returned(self, fields: Sequence[Any]) -> Sequence[Source]:
        """Return where each new value is in rows that have all old values and then the new values of these fields."""
        positions = {field: at for at, field in enumerate(fields, len(self.plan.fields))}
        after = (positions.get(field, at) for at, field in enumerate(self.fields, self.plan.keys))
        return [*range(self.plan.keys), *after]

    def new_values(self, old: Sequence[Any]) -> list[Any]:
        """Return the new values of a row that cannot be read again, from its old values."""
        news = enumerate(self.news, self.plan.keys)
        return [old[at] if new is UNCHANGED else UNKNOWN if is_expression(new) else new for at, new in news]

    def statement(self) -> tuple[str, Sequence[Any], Sequence[Any]] | None:
        """Return the UPDATE up to its condition, with its parameters and the parameters of the condition.

        None if a package has added SQL behind the condition.
        """
        sql, params = self.compiler.as_sql()
        where, where_params = self._where()
        if not sql.endswith(where):
            return None
        return sql.removesuffix(where), params[: len(params) - len(where_params)], where_params

    def _where(self) -> tuple[str, Sequence[Any]]:
        """Return the condition of the statement, with its parameters."""
        try:
            sql, params = self.compiler.compile(self.compiler.query.where)
        except FullResultSet:
            return "", ()
        return f" WHERE {sql}", params

    def rows(self, table: Columns, sources: Sequence[Source]) -> Updated:
        """Return the updated rows, with their values in the columns of a table."""
        return Updated(self.model, self.using, self.asked.names, self.plan, table, sources)

    def rows_of(self, table: Table) -> Updated:
        """Return the updated rows of a table in which the new values of all fields follow the old ones."""
        return Updated.of(self.model, self.using, self.asked.names, self.plan, table)


class _Unchanged:
    """The class of `UNCHANGED`."""


UNCHANGED: Any = _Unchanged()  # the new value of a field that an update does not set


def _beside(model: Any, written: Collection[Any]) -> list[Any]:
    """Return the watched fields of the model's own table that an update does not set."""
    own = model._meta.concrete_model._meta.local_concrete_fields
    return [one for one in watched_fields(model) if one in own and one not in written and _is_left_alone(one)]


def _is_left_alone(field: Any) -> bool:
    """Return whether a field that an update does not set keeps its value, and one statement can read it."""
    return not field.primary_key and not field.generated and are_sent_as_stored([field])


def _of_parents(query: Any) -> Iterator[tuple[Any, Any, Any]]:
    return (one for values in query.related_updates.values() for one in values)


# --- the new values ------------------------------------------------------------------------------------------------


def _news(fields: Sequence[Any], values: dict[Any, Any], asked: FieldsToRead) -> list[Any]:
    """Return the new value of each field: itself, an expression that is the same before the update, or UNKNOWN."""
    news = [_new(one, values, asked) for one in fields]
    if asked.moved and UNKNOWN in news:
        return [UNKNOWN if is_expression(new) else new for new in news]
    return news


def _new(one: Any, values: dict[Any, Any], asked: FieldsToRead) -> Any:
    """Return the new value of a field: itself, an expression that is the same before the update, or UNKNOWN."""
    if one not in values:
        return UNCHANGED if one in asked.left_alone else UNKNOWN
    value = values[one]
    if isinstance(value, Model):
        value = value.prepare_database_save(one)
    if not is_expression(value):
        return asked.prepare[one](one, value) if one in asked.prepare else UNKNOWN
    others = {*values} - {one}  # MariaDB sets columns in order, so an expression may read another one's new value
    return value if isinstance(one, IntegerField) and _is_integer(value, others) else UNKNOWN


def _is_integer(value: Any, others: set[Any]) -> bool:
    """Return whether an expression computes an integer, from integers that the update does not change before it."""
    if isinstance(value, Value):
        return type(value.value) is int
    if isinstance(value, Col):
        return isinstance(value.target, IntegerField) and value.target not in others
    is_exact = isinstance(value, CombinedExpression) and value.connector in ("+", "-", "*")
    return is_exact and _is_integer(value.lhs, others) and _is_integer(value.rhs, others)
