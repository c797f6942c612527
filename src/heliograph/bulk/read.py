"""Reading: the values that an update reads from its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import count
from typing import Any

from django.core.exceptions import FullResultSet
from django.db.models import IntegerField, Model
from django.db.models.expressions import Col, CombinedExpression, Value

from heliograph.bulk.sql import Table, are_sent_as_stored
from heliograph.changes.columns import Columns, Constant, Source
from heliograph.changes.plans import PLANS, plan_for, watched_among, with_columns_beside
from heliograph.changes.rows import Updated
from heliograph.changes.values import UNKNOWN, as_stored, is_expression, may_mutate


class Reading:
    """The fields that an update reads: the primary key, the old values, and new values that differ from row to row."""

    def __init__(self, model: Any, using: str, reads_all: bool, is_ordered: bool, compiler: Any) -> None:
        self.model = model
        self.using = using
        self.is_ordered = is_ordered  # rows are locked in the order of their keys
        self.compiler = compiler
        self.connection = compiler.connection
        query = compiler.query
        self.values = {one: value for one, _, value in [*query.values, *_of_parents(query)]}
        self.keys = model._meta.pk_fields
        # Rows are identified by their old keys. If the update sets keys, only the new ones find the rows again.
        self.moved = [key for key in self.keys if key in self.values]
        # A row with a new key is reported as a deleted row, with all of its old values, and a created row.
        written = self.values if reads_all or self.moved else ()
        watched = [*written, *watched_among(model, self.values)]
        # A batch has the values of the other watched fields too: a total needs the order of a line whose price changes.
        watched += _beside(model, self.values) if watched else ()
        self.fields = with_columns_beside(model, [*dict.fromkeys([*watched, *self.moved])])
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
        """Whether the rows are read after the update too; this is impossible if the update sets their keys."""
        return UNKNOWN in self.news and not self.moved

    @property
    def computed(self) -> list[Any]:
        """The expressions among the new values, which are read after the old values; none if not all can be known."""
        return [] if UNKNOWN in self.news else [new for new in self.news if is_expression(new)]

    @property
    def sources(self) -> Sequence[Source]:
        """Where the new values are if rows are read before the update: old values, followed by computed ones."""
        computed = count(len(self.plan.fields))
        return [self._source(at, new, computed) for at, new in enumerate(self.news, self.plan.keys)]

    def _source(self, at: int, new: Any, computed: Iterator[int]) -> Source:
        if new is UNCHANGED:
            return at
        return next(computed) if is_expression(new) else Constant(new)

    def returned(self, fields: Sequence[Any]) -> Sequence[Source]:
        """Return where each new value is in rows that have all old values and then the new values of these fields."""
        places = {field: at for at, field in enumerate(fields, len(self.plan.fields))}
        return [places.get(field, at) for at, field in enumerate(self.fields, self.plan.keys)]

    def told(self, old: Sequence[Any]) -> list[Any]:
        """Return the new values of a row that cannot be read again."""
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

    def rows(self, table: Columns, news: Sequence[Source]) -> Updated:
        """Return the updated rows, with their values in the columns of a table."""
        return Updated(self.model, self.using, self._names, self.plan, table, news)

    def rows_of(self, table: Table) -> Updated:
        """Return the updated rows of a table in which the new values of all fields follow the old ones."""
        return Updated.of(self.model, self.using, self._names, self.plan, table)

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(one.name for one in self.values)


class _Unchanged:
    """The class of `UNCHANGED`."""


UNCHANGED: Any = _Unchanged()  # stands for the new value of a field that an update does not set


def _beside(model: Any, written: Collection[Any]) -> list[Any]:
    """Return the watched fields of the model's own table that an update does not set."""
    plan = PLANS.get(model)
    own = model._meta.concrete_model._meta.local_concrete_fields
    watched = () if plan is None else plan.fields[plan.keys :]
    return [one for one in watched if one in own and one not in written and _is_left_alone(one)]


def _is_left_alone(field: Any) -> bool:
    """Return whether a field that an update does not set keeps its value, and is read without a statement more."""
    return not field.primary_key and not field.generated and are_sent_as_stored([field])


def _of_parents(query: Any) -> Iterator[tuple[Any, Any, Any]]:
    return (one for values in query.related_updates.values() for one in values)


# --- what an update sets ------------------------------------------------------------------------------------------


def _new(one: Any, values: dict[Any, Any]) -> Any:
    """Return the new value of a field: itself, an expression that is the same before the update, or UNKNOWN."""
    value = values.get(one, UNCHANGED if _is_left_alone(one) else UNKNOWN)
    if value is UNCHANGED:
        return value
    if isinstance(value, Model):
        value = value.prepare_database_save(one)
    if not is_expression(value):
        is_told = value is not UNKNOWN and not may_mutate(one) and are_sent_as_stored([one])
        return as_stored(one, value) if is_told else UNKNOWN
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
