"""The statements of a `bulk_create()`: they insert rows, or ignore or update rows in conflict, and say which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any

from django.db import connections
from django.db.models import Q
from django.db.models.constants import OnConflict
from django.db.models.sql import InsertQuery

from heliograph.bulk.due_rows import news
from heliograph.bulk.sql import Table, are_sent_as_stored, fetched, locking
from heliograph.changes.plans import Plan, plan_for, plan_of_all, watched_among, watched_fields, with_columns_beside
from heliograph.changes.rows import Created, Rows, Updated, instances_of, loaded
from heliograph.changes.values import is_expression
from heliograph.databases import database_of
from heliograph.orm.querysets import BulkCreate


@dataclass(frozen=True)
class Insert:
    """The statements of a `bulk_create()`; in this class Django's own, which insert all rows or none."""

    model: Any
    using: str
    known: Plan | None  # the fields of new rows whose values are kept; None for the watched ones

    def replaces(self, query: Any) -> bool:
        """Return whether a query is executed here, and not left to Django."""
        return False

    def execute(self, compiler: Any, inner: Callable[[], Any], *args: Any) -> Any:
        """Execute one statement."""
        return inner()

    def due(self, instances: Sequence[Any]) -> list[Rows]:
        """Return the rows that will be written, as far as this is known before: here all are new."""
        for instance in instances:
            instance._prepare_related_fields_for_save(operation_name="bulk_create")
        return [Created.of(self.model, self.using, instances, self.known)]

    def writes(self, made: Sequence[Any]) -> list[Rows]:
        """Return the written rows; `made` is what Django's method returns."""
        return [Created.of(self.model, self.using, made, self.known)]

    def unknown(self, made: Sequence[Any]) -> Sequence[Any]:
        """Return the instances of which nobody knows whether their rows were written."""
        return ()


class InsertUnknown(Insert):
    """The statements that find rows in conflict where the database does not return which: MySQL, or special fields."""

    def writes(self, made: Sequence[Any]) -> list[Rows]:
        return []

    def unknown(self, made: Sequence[Any]) -> Sequence[Any]:
        return [*made]  # the list itself is the caller's


@dataclass(frozen=True)
class InsertOrIgnore(Insert):
    """The statements of `ignore_conflicts=True`: they return the rows that they have inserted."""

    table: Table = field(default_factory=list)

    def replaces(self, query: Any) -> bool:
        return _is_statement_of(query, self.model, OnConflict.IGNORE)

    def execute(self, compiler: Any, inner: Callable[[], Any], *args: Any) -> list[Any]:
        self.table.extend(_inserted(compiler, self.model._meta.concrete_fields))
        return []  # as Django's method does

    def writes(self, made: Sequence[Any]) -> list[Rows]:
        # New instances: nobody knows which instance of the caller belongs to which row.
        made = instances_of(self.model, self.using, self.table)
        return [Created.of(self.model, self.using, made, self.known, are_sent=False)]


@dataclass(frozen=True)
class InsertOrUpdate(Insert):
    """The statements of `update_conflicts=True`: they return the values that each row has afterwards."""

    names: frozenset[str]  # of the fields that are updated
    identity: Sequence[Any]  # the fields that identify a row: `unique_fields`, or the primary key
    plan: Plan  # the updated fields that a receiver watches
    conflicts: Conflicts
    new: dict[Any, Sequence[Any]] = field(default_factory=dict)
    instances: dict[Any, Any] = field(default_factory=dict)  # of rows that were inserted
    first: dict[Any, Any] = field(default_factory=dict)  # the instances that inserted them: a second one updates a row
    returned: dict[Any, Sequence[Any]] = field(default_factory=dict)  # their updated fields afterwards

    def replaces(self, query: Any) -> bool:
        return _is_statement_of(query, self.model, OnConflict.UPDATE)

    def execute(self, compiler: Any, inner: Callable[[], Any], *args: Any) -> list[Any]:
        asked = [*(args[0] or ())]  # the fields that Django wants to be returned
        fields = [*asked, *self.identity, *self.plan.fields]
        # Another transaction may have inserted a row after the rows in conflict were locked; PostgreSQL reports that.
        marks = database_of(compiler.connection).insertion_marks(compiler.connection, self.model._meta.db_table)
        rows = _inserted(compiler, fields, marks.columns)
        are_new = marks.are_insertions([row[len(fields) :] for row in rows])
        values = [row[len(asked) : len(fields)] for row in rows]
        for instance, row, is_new in zip(self._instances(compiler.query.objs, values), values, are_new, strict=True):
            self._keep(instance, row, is_new)
        return [row[: len(asked)] for row in rows]

    def _instances(self, given: Sequence[Any], values: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Return an instance for each row: the given ones, or new ones if a trigger has refused some of the rows."""
        if len(values) == len(given):
            return given
        keys = [self.plan.key_of(row[len(self.identity) :]) for row in values]
        found = loaded(self.model, self.using, keys)
        return [found[key] for key in keys]

    def _keep(self, instance: Any, values: Sequence[Any], is_new: bool) -> None:
        key, values = tuple(values[: len(self.identity)]), values[len(self.identity) :]
        if key in self.instances or (is_new and key not in self.conflicts.old):
            self.first.setdefault(key, instance)
            self.instances[key], self.returned[key] = instance, values
        else:
            self.new[key] = values

    def due(self, instances: Sequence[Any]) -> list[Rows]:
        (all_rows,) = super().due(instances)
        found = [self.conflicts.row_of(one) for one in instances]
        by_row = {row: one for row, one in zip(found, instances, strict=True) if row is not None}
        fields = [one for one in self.plan.fields if one.name in self.names]
        olds = self.conflicts.old.items()
        table = [(*old, *news(self.plan, old, fields, self.using, by_row.get(row))) for row, old in olds]
        updated = Updated.of(self.model, self.using, self.names, self.plan, table)
        if by_row.keys() >= self.conflicts.old.keys():
            updated = replace(updated, given=[by_row[row] for row in self.conflicts.old])
        return [all_rows.only([at for at, row in enumerate(found) if row is None]), updated]

    def writes(self, made: Sequence[Any]) -> list[Rows]:
        keys, unknown, before = self.plan.keys, self.plan.unknown, self.conflicts.old
        table = [(*before.get(key, (*new[:keys], *unknown[keys:])), *new[keys:]) for key, new in self.new.items()]
        return [
            self._created(),
            Updated.of(self.model, self.using, self.names, self.plan, table),
        ]

    def _created(self) -> Created:
        """Return the new rows: with the values that were inserted, and the updated fields as the database has them."""
        rows = Created.of(self.model, self.using, [*self.first.values()], self.known)
        returned = (dict(zip(self.plan.names, row, strict=True)) for row in self.returned.values())
        pairs = zip(rows.values, returned, strict=True)
        values = [[*map(known.get, rows.plan.names, row)] for row, known in pairs]
        return replace(rows, made=[*self.instances.values()], values=values)


def insertion_of(create: BulkCreate, using: str, instances: Sequence[Any], reads_all: bool) -> Insert:
    """Return the statements of a bulk_create; rows in conflict that will be updated are locked and read."""
    model = create.queryset.model
    options = model._meta
    known = plan_of_all(model) if reads_all else None
    if not create.ignore_conflicts and not create.update_conflicts:
        return Insert(model, using, known)
    are_returned = connections[using].features.can_return_rows_from_bulk_insert
    if not are_returned or not are_sent_as_stored(model._meta.concrete_fields):
        return InsertUnknown(model, using, known)
    if create.ignore_conflicts:
        return InsertOrIgnore(model, using, known)
    written = [options.get_field(name) for name in create.update_fields or ()]
    unique = [options.pk if name == "pk" else options.get_field(name) for name in create.unique_fields or ()]
    if not all(one.concrete and not one.many_to_many for one in (*written, *unique)):
        return Insert(model, using, known)  # which Django refuses
    fields = [*(written if reads_all else ()), *watched_among(model, written)]
    fields += watched_fields(model) if fields else ()  # as for an update: a receiver may ask for their values too
    plan = plan_for(model, with_columns_beside(model, [*dict.fromkeys(fields)]))
    identity = unique or options.pk_fields
    conflicts = rows_in_conflict(instances, using, unique, identity, plan)
    return InsertOrUpdate(model, using, known, frozenset(one.name for one in written), identity, plan, conflicts)


def _is_statement_of(query: Any, model: Any, on_conflict: Any) -> bool:
    is_of_model = isinstance(query, InsertQuery) and query.model is model
    return is_of_model and vars(query)["on_conflict"] is on_conflict


def _inserted(compiler: Any, fields: Sequence[Any], more: str = "") -> Table:
    """Execute an insertion, and return these values of the rows that it has written."""
    compiler.returning_fields = fields
    return [row for sql, params in compiler.as_sql() for row in fetched(compiler, sql + more, params, fields)]


# --- rows in conflict ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conflicts:
    """The rows that are in conflict with the instances of an upsert."""

    old: dict[Any, Sequence[Any]] = field(default_factory=dict)  # the old values, by the values that identify a row
    # What identifies each row, by the unique fields in which it may be in conflict, and its values of these.
    by_fields: dict[tuple[Any, ...], dict[Any, Any]] = field(default_factory=dict)

    def add(self, row: Any, old: Sequence[Any], fields: tuple[Any, ...], values: Any) -> None:
        """Add a row that has the same values as an instance in some unique fields."""
        self.old[row] = old
        self.by_fields.setdefault(fields, {})[values] = row

    def row_of(self, instance: Any) -> Any:
        """Return what identifies the row that an instance is in conflict with; None if there is none."""
        found = (rows.get(_python_values(instance, fields)) for fields, rows in self.by_fields.items())
        return next((row for row in found if row is not None), None)


def _python_values(instance: Any, fields: Sequence[Any]) -> Any:
    """Return values of an instance as they are when they are loaded; None if a field does not accept its value."""
    try:
        return tuple(one.to_python(getattr(instance, one.attname)) for one in fields)
    except Exception:  # of an expression, say: a field may raise any error
        return None


def rows_in_conflict(
    instances: Sequence[Any], using: str, unique_fields: Sequence[Any], identity: Sequence[Any], plan: Plan
) -> Conflicts:
    """Lock and read the rows that are in conflict with instances, by their values of `identity`."""
    conflicts, keys, size = Conflicts(), len(identity), len(identity) + len(plan.fields)
    for fields in _unique(plan.model, unique_fields):
        names = [one.attname for one in (*identity, *plan.fields, *fields)]
        rows = locking(plan.model._base_manager.using(using)).values_list(*names)
        for row in (row for condition in _equal(instances, using, fields) for row in rows.filter(condition)):
            conflicts.add(tuple(row[:keys]), row[keys:size], tuple(fields), tuple(row[size:]))
    return conflicts


def _unique(model: Any, named: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the sets of fields whose values are unique: the named set, or all sets of the model if none is named."""
    if named:
        yield named
        return
    options = model._meta
    yield options.pk_fields
    yield from ([one] for one in options.local_concrete_fields if one.unique and not one.primary_key)
    constraints = [one.fields for one in options.total_unique_constraints]
    yield from ([options.get_field(name) for name in names] for names in (*options.unique_together, *constraints))


def _equal(instances: Sequence[Any], using: str, fields: Sequence[Any]) -> Iterator[Q]:
    """Yield conditions that hold for the rows with the same values as one of the instances."""
    values = [[getattr(instance, one.attname) for one in fields] for instance in instances]
    known = [row for row in values if not any(value is None or is_expression(value) for value in row)]
    names = [one.attname for one in fields]
    most = connections[using].features.max_query_params or len(known) or 1
    # A condition on several columns is a tree, and SQLite accepts a thousand levels.
    size = most if len(fields) == 1 else 200
    for start in range(0, len(known), size):
        some = known[start : start + size]
        if len(fields) == 1:
            yield Q((f"{names[0]}__in", [value for (value,) in some]))
        else:
            yield reduce(or_, (Q(*zip(names, row, strict=True)) for row in some))
