"""The statements of a deletion: they return the rows, also those that Django has never loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import itemgetter, or_
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import CASCADE, Model, Q, QuerySet, signals
from django.db.models.sql import DeleteQuery, Query

from heliograph.bulk.audience import Audience, audience_of, bulk_receivers
from heliograph.bulk.sql import are_sent_as_stored, fetched_columns, lock, returning
from heliograph.changes.plans import plan_for
from heliograph.changes.row_locks import rows_by_keys
from heliograph.changes.rows import Deleted, normal_key
from heliograph.databases import database_of
from heliograph.dispatch.scopes import current
from heliograph.dispatch.sends import guarded_for
from heliograph.transactions.collect import BatchDeferral

# The signals through which deletions are received.
SIGNALS = ("pre_delete", "post_delete", "pre_bulk_delete", "post_bulk_delete", "m2m_changes")


# --- which rows must be loaded ------------------------------------------------------------------------------------


def needs_instances(model: Any, using: str) -> bool:
    """Return whether Django must load the rows before it deletes them: DELETE cannot return all that is needed."""
    if not returns_whole_rows(model, using):
        return True
    return any(_needs_each(signal, model) for signal in (signals.pre_delete, signals.post_delete))


def returns_whole_rows(model: Any, using: str) -> bool:
    """Return whether DELETE can return whole rows; the columns of a multi-table child are in several tables."""
    options = model._meta
    is_whole = not options.parents and are_sent_as_stored(options.concrete_fields)
    connection = connections[using]
    return is_whole and database_of(connection).returns_rows(connection, of="DELETE")


def _needs_each(signal: Any, model: Any) -> bool:
    """Return whether a receiver needs the instance of each row, and is not content with the rows afterwards."""
    content = 0 if signal is signals.pre_delete else len(bulk_receivers(signal, model))
    all_receivers = sum(map(len, signal._live_receivers(model)))
    return all_receivers > content or any(scope.listens(signal, model) for scope in current())


# --- which rows were deleted --------------------------------------------------------------------------------------


@dataclass(eq=False)
class Deletion:
    """The statements by which a collector deletes the rows of models with an audience: they return the rows."""

    using: str
    audiences: dict[Any, Audience]  # by model
    received: frozenset[Any]  # the models whose rows somebody receives, and not only is called before they go
    kept: frozenset[Any]  # the models whose deletions a receiver gets in a batch
    collected: dict[Any, dict[Any, Any]]  # the instances that Django has loaded, by model and primary key
    # The columns of the same rows, locked and read, where DELETE returns no rows.
    found: dict[Any, dict[Any, Sequence[Any]]]
    origin: tuple[Any, Any]  # model and primary key of the instance whose delete() was called, if it was
    tables: defaultdict[Any, list[Any]] = field(default_factory=lambda: defaultdict(list))
    _by_key: dict[Any, tuple[int, dict[Any, Sequence[Any]]]] = field(default_factory=dict)  # by model

    def replaces(self, query: Any) -> bool:
        """Return whether a query is executed here, because it can return its rows and somebody receives them."""
        return isinstance(query, DeleteQuery) and self._is_about(query.model) and self.is_returned(query.model)

    def execute(self, compiler: Any, inner: Callable[[], Any], *args: Any) -> Any:
        """Delete, and return the number of rows."""
        model = compiler.query.model
        try:
            table = _deleted(compiler, model._meta.concrete_fields)
        except EmptyResultSet:
            return inner()
        self.tables[model] += table
        return len(table)

    def is_origin(self, model: Any, key: Any) -> bool:
        """Return whether this is the row of the instance whose `delete()` was called."""
        return self.origin == (model, key)

    def queryset(self, collector: Any, model: Any) -> Any:
        """Return a query for the rows of a model that will be deleted, except the origin; None if there are none."""
        keys = [key for key in self.collected.get(model, ()) if not self.is_origin(model, key)]
        conditions = [Q(pk__in=rows.values("pk")) for rows in collector.fast_deletes if rows.model is model]
        if keys:
            conditions.append(Q(pk__in=keys))
        return model._base_manager.using(self.using).filter(reduce(or_, conditions)) if conditions else None

    def rows(self, model: Any) -> Deleted:
        """Return the rows of a model that were deleted, with the primary keys that Django takes away."""
        if self.is_returned(model):
            table, plan = self.tables[model], plan_for(model, ())
            keys = itemgetter(*(plan.columns.index(key) for key in plan.fields))
            return Deleted(model, self.using, [*map(keys, table)], table)
        found = self.found.get(model, {})
        return Deleted(model, self.using, [*found], [*found.values()])

    def has_loaded(self, model: Any, key: Any) -> bool:
        """Return whether Django deletes the row with this key by an instance, and a receiver needs its values."""
        return self._is_about(model) and key in self.collected.get(model, ())

    def values_of(self, model: Any, key: Any) -> Mapping[str, Any] | None:
        """Return the values of a row when it was deleted, by the attributes of its fields; None if it was not there."""
        rows = self._returned(model) if self.is_returned(model) else self.found[model]
        row = rows.get(key)
        return None if row is None else dict(zip((one.attname for one in _columns(model)), row, strict=True))

    def _returned(self, model: Any) -> dict[Any, Sequence[Any]]:
        """Return the deleted rows of a model, as the database returned them, by primary key."""
        table, (known, by_key) = self.tables[model], self._by_key.get(model, (0, {}))
        if known < len(table):
            by_key = dict(zip(self.rows(model).pks, table, strict=True))
            self._by_key[model] = len(table), by_key
        return by_key

    def _is_about(self, model: Any) -> bool:
        return model in self.received or model in self.kept

    def is_returned(self, model: Any) -> bool:
        """Return whether DELETE returns the rows of a model."""
        return returns_whole_rows(model, self.using)


def _columns(model: Any) -> Sequence[Any]:
    columns: Sequence[Any] = model._meta.concrete_fields
    return columns


def has_audience(collector: Any) -> bool:
    """Return whether somebody receives the rows of a collector by a bulk signal, or in a batch."""
    if any(map(_is_kept, collector.data)):
        return True
    if any(audience_of(model, *SIGNALS) is not None for model in collector.data):
        return True
    return any(audience_of(rows.model, *SIGNALS) is not None for rows in collector.fast_deletes)


def _is_kept(model: Any) -> bool:
    """Return whether a receiver gets the deletions of a model in a batch."""
    receivers = (one for signal in (signals.pre_delete, signals.post_delete) for one in guarded_for(signal, model))
    return any(isinstance(one.options.call, BatchDeferral) for one in receivers)


def deletion_of(collector: Any) -> Deletion:
    """Return the deletion of a collector; where DELETE returns no rows, they are locked and read first."""
    collected = {model: {normal_key(one): one for one in of} for model, of in collector.data.items() if of}
    models = dict.fromkeys([*collected, *(rows.model for rows in collector.fast_deletes)])
    audiences = {model: audience for model in models if (audience := audience_of(model, *SIGNALS)) is not None}
    received = frozenset(model for model, audience in audiences.items() if _receives_rows(audience))
    kept = frozenset(filter(_is_kept, collected))
    origin = collector.origin
    alone = (type(origin), normal_key(origin)) if isinstance(origin, Model) else (None, None)
    found = {
        model: _locked(model, collector.using, [*collected.get(model, ())])
        for model in received | kept
        if not returns_whole_rows(model, collector.using)
    }
    return Deletion(collector.using, audiences, received, kept, collected, found, alone)


def _receives_rows(audience: Audience | None) -> bool:
    """Return whether an audience receives the rows that were deleted."""
    return audience is not None and not audience.signals.keys() <= {"pre_bulk_delete", "deletion_asked"}


def read_before(collector: Any) -> Any:
    """Return a model whose rows are read before a collector deletes them; None if DELETE returns all of them."""
    received = (model for model in collector.data if _is_kept(model) or _receives_rows(audience_of(model, *SIGNALS)))
    return next((model for model in received if not returns_whole_rows(model, collector.using)), None)


def empties_keys(collector: Any) -> bool:
    """Return whether a collector may set keys to NULL in rows that it will delete, as without deferred constraints."""
    return bool(collector.field_updates) and not connections[collector.using].features.can_defer_constraint_checks


def is_of_cascade(model: Any, values: Mapping[str, Any]) -> bool:
    """Return whether an update only prepares a deletion: it sets the keys of rows to NULL that will be deleted too."""
    keys = [model._meta.get_field(name).remote_field for name, value in values.items() if value is None]
    return len(keys) == len(values) and all(key is not None and key.on_delete is CASCADE for key in keys)


def _locked(model: Any, using: str, keys: Sequence[Any]) -> dict[Any, Sequence[Any]]:
    """Lock and read the existing rows with these primary keys, also rows that the model's managers hide."""
    rows: Any = QuerySet(model, using=using).order_by("pk").select_for_update()
    table = rows.values_list("pk", *(one.attname for one in _columns(model)))
    return {key: row for key, *row in rows_by_keys(table, keys)}


def _deleted(compiler: Any, fields: Any) -> list[Any]:
    sql, params = compiler.as_sql()
    if not sql.startswith("DELETE FROM"):  # MariaDB deletes from a join, and returns nothing then
        compiler = _by_key(compiler)
        sql, params = compiler.as_sql()
    sql += returning(compiler.connection, fields)
    return fetched_columns(compiler, sql, params, fields).rows(len(fields))  # equal values are converted once


def _by_key(compiler: Any) -> Any:
    """Return a compiler that deletes the same rows by their primary keys."""
    query, model = compiler.query, compiler.query.model
    select = query.chain(klass=Query)
    select.clear_ordering(force=True)
    select.clear_select_clause()
    lock(select)
    select.add_fields([key.attname for key in model._meta.pk_fields], allow_m2m=False)
    rows = select.get_compiler(using=compiler.using).results_iter(tuple_expected=True)
    keys = [tuple(row) if len(row) > 1 else row[0] for row in rows]
    delete: Any = DeleteQuery(model)
    delete.add_filter("pk__in", keys)
    return delete.get_compiler(compiler.using)
