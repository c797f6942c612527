"""Querysets: the methods of Django that write many rows at once, and the method that gives what executes a query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from django.db.models import QuerySet
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery

from heliograph.orm.steps import Method, Proceed, heir

# --- QuerySet.bulk_create -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class BulkCreate:
    """A call of `QuerySet.bulk_create()`."""

    queryset: Any
    instances: Iterable[Any]
    batch_size: int | None
    ignore_conflicts: bool
    update_conflicts: bool
    update_fields: Collection[str] | None
    unique_fields: Collection[str] | None


def _call_bulk_create(inner: Proceed, heir: Any, create: BulkCreate) -> Any:
    return inner(
        create.queryset,
        create.instances,
        create.batch_size,
        create.ignore_conflicts,
        create.update_conflicts,
        create.update_fields,
        create.unique_fields,
    )


def _bulk_create(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def bulk_create(
        self: Any,
        objs: Any,
        batch_size: Any = None,
        ignore_conflicts: Any = False,
        update_conflicts: Any = False,
        update_fields: Any = None,
        unique_fields: Any = None,
    ) -> Any:
        return run(BulkCreate(self, objs, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields))

    return bulk_create


bulk_create = Method("bulk_create", ("keep", "send", "remember"), _bulk_create, QuerySet, _call_bulk_create)

# --- QuerySet.bulk_update -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class BulkUpdate:
    """A call of `QuerySet.bulk_update()`."""

    queryset: Any
    instances: Iterable[Any]
    fields: Iterable[str]
    batch_size: int | None


def _call_bulk_update(inner: Proceed, heir: Any, update: BulkUpdate) -> Any:
    return inner(update.queryset, update.instances, update.fields, update.batch_size)


def _bulk_update(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def bulk_update(self: Any, objs: Any, fields: Any, batch_size: Any = None) -> Any:
        return run(BulkUpdate(self, objs, fields, batch_size))

    return bulk_update


bulk_update = Method("bulk_update", ("keep", "send", "remember"), _bulk_update, QuerySet, _call_bulk_update)

# --- QuerySet.update, and the same by keys ------------------------------------------------------------------------


def _update(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def update(self: Any, **kwargs: Any) -> Any:
        return run(self, **kwargs)

    return update


update = Method("update", ("send",), _update, QuerySet)


def _update_batch(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def update_batch(self: Any, pk_list: Any, values: Any, using: Any) -> Any:
        return run(self, pk_list, values, using)

    return update_batch


# Django sets what refers to deleted rows by this.
update_batch = Method("update_batch", ("send",), _update_batch, UpdateQuery)

# --- get_compiler -------------------------------------------------------------------------------------------------


def _get_compiler(inner: Proceed, steps: Sequence[Callable[[Any, Any], None]]) -> Proceed:
    (prepare,) = steps
    owner = heir(inner)

    @wraps(inner)
    def get_compiler(self: Any, *args: Any, **kwargs: Any) -> Any:
        get = partial(inner, self) if owner is None else super(owner, self).get_compiler
        compiler = get(*args, **kwargs)
        prepare(self, compiler)
        return compiler

    return get_compiler


# Their step is called with the query and its compiler, before the compiler executes the query.
get_compilers = [
    Method("get_compiler", ("replace",), _get_compiler, query, are_around=False)
    for query in (DeleteQuery, InsertQuery, UpdateQuery)
]
