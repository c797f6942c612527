"""Deletions: which rows a collector has deleted, those that it has never loaded included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import itemgetter, or_
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import CASCADE, Model, Q, signals
from django.db.models.sql import DeleteQuery, Query

from heliograph.bulk.listening import Audience, audience_of, listeners
from heliograph.bulk.sql import are_sent_as_stored, fetched, lock, returning, returns_rows
from heliograph.changes.plans import plan_for
from heliograph.changes.rows import Deleted, loaded, normal_key, with_key
from heliograph.dispatch.scopes import current

# Through which deletions are heard.
SIGNALS = ("pre_delete", "post_delete", "pre_bulk_delete", "post_bulk_delete", "m2m_changes")


# --- what need not be loaded --------------------------------------------------------------------------------------


def needs_instances(model: Any, using: str) -> bool:
    """Return whether rows must be loaded before they are deleted, since it is not enough to know them afterwards."""
    if not tells_rows(model, using):
        return True
    return any(_hears_more(signal, model) for signal in (signals.pre_delete, signals.post_delete))


def tells_rows(model: Any, using: str) -> bool:
    """Return whether a deletion can return whole rows; the columns of a child are in several tables."""
    options = model._meta
    is_whole = not options.parents and are_sent_as_stored(options.concrete_fields)
    return is_whole and returns_rows(connections[using], of="DELETE")


def _hears_more(signal: Any, model: Any) -> bool:
    """Return whether anybody hears a signal who is not content with being told of rows afterwards."""
    told = 0 if signal is signals.pre_delete else len(listeners(signal, model))
    heard = sum(map(len, signal._live_receivers(model)))
    return heard > told or any(scope.hears(signal, model) for scope in current())


# --- what was deleted ---------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Deletion:
    """The statements by which a collector deletes rows of models that somebody listens to: they return the rows."""

    using: str
    audiences: dict[Any, Audience]  # by model
    collected: dict[Any, dict[Any, Any]]  # the instances that Django has loaded, by model and primary key
    origin: tuple[Any, Any]  # the model and the primary key of the one instance whose delete() was called, if it was
    tables: defaultdict[Any, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def replaces(self, query: Any) -> bool:
        """Return whether a query is one of them."""
        return isinstance(query, DeleteQuery) and query.model in self.audiences and self.is_returned(query.model)

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
        """Return whether this is the one row that was to be deleted, and not one of many."""
        return self.origin == (model, key)

    def queryset(self, collector: Any, model: Any) -> Any:
        """Return a query for the rows of a model that will be deleted along with others; None if there are none."""
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
        loaded = self.collected.get(model, {})
        instances = [with_key(one, key) for key, one in loaded.items()]
        return Deleted(model, self.using, [*loaded], instances)

    def is_returned(self, model: Any) -> bool:
        """Return whether the database returns its rows."""
        return tells_rows(model, self.using)


def is_heard(collector: Any) -> bool:
    """Return whether somebody hears of rows that a collector deletes."""
    if any(audience_of(model, *SIGNALS) is not None for model in collector.data):
        return True
    return any(audience_of(rows.model, *SIGNALS) is not None for rows in collector.fast_deletes)


def deletion_of(collector: Any) -> Deletion:
    """Return what a collector is about to do."""
    collected = {model: {normal_key(one): one for one in of} for model, of in collector.data.items() if of}
    models = dict.fromkeys([*collected, *(rows.model for rows in collector.fast_deletes)])
    audiences = {model: audience for model in models if (audience := audience_of(model, *SIGNALS)) is not None}
    origin = collector.origin
    alone = (type(origin), normal_key(origin)) if isinstance(origin, Model) else (None, None)
    deletion = Deletion(collector.using, audiences, collected, alone)
    for model in audiences:
        if not deletion.is_returned(model):
            collected[model] = _completed(model, collector.using, collected.get(model, {}))
    return deletion


def empties_keys(collector: Any) -> bool:
    """Return whether a collector may empty keys of rows that it is about to delete, where constraints do not wait."""
    return bool(collector.field_updates) and not connections[collector.using].features.can_defer_constraint_checks


def is_of_cascade(model: Any, values: Mapping[str, Any]) -> bool:
    """Return whether an update is the first step of a deletion: of rows that go too, where constraints do not wait."""
    keys = [model._meta.get_field(name).remote_field for name, value in values.items() if value is None]
    return len(keys) == len(values) and all(key is not None and key.on_delete is CASCADE for key in keys)


def _completed(model: Any, using: str, instances: dict[Any, Any]) -> dict[Any, Any]:
    """Return instances with all their fields: a query may have left some out, which cannot be loaded later."""
    if not any(one.get_deferred_fields() for one in instances.values()):
        return instances
    return instances | loaded(model, using, [*instances])


def _deleted(compiler: Any, fields: Any) -> list[Any]:
    sql, params = compiler.as_sql()
    if not sql.startswith("DELETE FROM"):  # MariaDB deletes from a join, and returns nothing then
        compiler = _by_key(compiler)
        sql, params = compiler.as_sql()
    return fetched(compiler, sql + returning(compiler.connection, fields), params, fields)


def _by_key(compiler: Any) -> Any:
    """Return what deletes the same rows by their primary keys."""
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
