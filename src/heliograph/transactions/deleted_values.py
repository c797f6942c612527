"""The values of deleted rows, as the database had them: the instances by which Django deletes them may be stale."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from heliograph.changes.current import without_wrapper
from heliograph.changes.values import copied as own


class Record(Protocol):
    """A deletion that knows the rows which the database has really removed."""

    def has_loaded(self, model: Any, key: Any) -> bool:
        """Return whether Django deletes the row with this key by an instance, and the record is about its model."""

    def values_of(self, model: Any, key: Any) -> Mapping[str, Any] | None:
        """Return the values of a row when it was deleted, by the attributes of its fields; None if it was not there."""


_record: ContextVar[Record | None] = ContextVar("heliograph_deletion", default=None)


@contextmanager
def recorded(record: Record) -> Iterator[None]:
    """Keep a record of the rows that are deleted in the block."""
    token = _record.set(record)
    try:
        yield
    finally:
        _record.reset(token)


def record_of(model: Any, key: Any) -> Record | None:
    """Return the record of the deletion that is under way, if it is about this row."""
    record = _record.get()
    return record if record is not None and record.has_loaded(model, key) else None


def with_values(instance: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy of an instance that has these values, by the attributes of their fields.

    Attributes that are no fields stay, and so do related objects to which the copy still refers.
    """
    instance = without_wrapper(instance)
    copied: Any = object.__new__(type(instance))  # past Model.__reduce__, which asks the registry for the model
    copied.__dict__.update(instance.__dict__)
    copied._state = copy.copy(instance._state)
    related = {field.name: field.attname for field in instance._meta.concrete_fields if field.is_relation}
    before = instance.__dict__
    copied._state.fields_cache = {
        name: one
        for name, one in instance._state.fields_cache.items()
        if name not in related or before.get(related[name]) == values.get(related[name])
    }
    copied.__dict__.update({name: own(value) for name, value in values.items()})
    return copied
