"""Inserting: rows that another transaction may insert at the same time, of which each is there once afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from django.db import IntegrityError, connections, transaction
from django.db.models import BaseConstraint, Field, Model, QuerySet, UniqueConstraint

T = TypeVar("T")


def insert_missing(
    model: type[Model],
    sources: Sequence[T],
    make: Callable[[T], Model],
    missing: Callable[[Sequence[T]], Sequence[T]],
    using: str,
) -> None:
    """Insert a row for each source, all in one statement; rows that others have inserted meanwhile are left out.

    `make` returns a new instance for a source, and `missing` queries for the sources that have no row. This is no
    `ignore_conflicts=True`, which returns no keys, and with which SQLite, MySQL and MariaDB also ignore values that
    are wrong. An IntegrityError that no row of others explains is raised. Each attempt has a savepoint, also for a row
    whose source is new: a receiver may have inserted the row before, and to query for it takes no less time.
    """
    while sources:
        try:
            with transaction.atomic(using):
                model._base_manager.using(using).bulk_create([make(one) for one in sources])
        except IntegrityError:
            left = missing(sources)
            if len(left) == len(sources):
                raise
            sources = left
        else:
            return


def locked(rows: QuerySet[Any], using: str) -> QuerySet[Any]:
    """Return rows that are locked against deletion in the order of their keys, where a database locks rows.

    On PostgreSQL `FOR NO KEY UPDATE` goes along with the lock that the foreign key of a new row takes.
    """
    features = connections[using].features
    no_key = features.has_select_for_no_key_update
    return rows.order_by("pk").select_for_update(no_key=no_key) if features.has_select_for_update else rows


def verify_can_insert(text: str, model: type[Model]) -> None:
    """Raise TypeError for a model whose rows Django cannot insert many at a time."""
    options = model._meta
    if any(parent._meta.concrete_model is not options.concrete_model for parent in options.all_parents):
        raise TypeError(
            f"{text}: {options.label} is a multi-table child, whose rows bulk_create() cannot insert. Let it have a"
            " OneToOneField to its parent in place of inheriting."
        )


def unique_sets(model: type[Model]) -> Iterator[frozenset[str]]:
    """Yield the names of the fields of which the database lets no two rows have the same values."""
    options = model._meta
    yield from (frozenset([field.name]) for field in options.concrete_fields if field.unique)
    yield from map(frozenset, options.unique_together)
    yield from (frozenset(one.fields) for one in options.total_unique_constraints if is_immediate(one))


def is_immediate(constraint: BaseConstraint) -> bool:
    """Return whether a constraint keeps fields unique, and the database checks it at each statement."""
    return isinstance(constraint, UniqueConstraint) and bool(constraint.fields) and constraint.deferrable is None


def values_of(instance: Model, fields: Iterable[Field[Any, Any]]) -> tuple[Any, ...]:
    """Return the values of an instance as the database would return them: 5 for "5"."""
    return tuple(field.to_python(getattr(instance, field.attname)) for field in fields)
