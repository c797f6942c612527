"""The names of objects to which changed rows refer: how each was called when the entry was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import QuerySet

from heliograph.audit.audited_models import Audited
from heliograph.audit.net_changes import Net, NetChange
from heliograph.changes.chunks import in_chunks
from heliograph.changes.values import UNKNOWN

LONGEST = 200  # characters of a name

Names = Mapping[Any, Mapping[Any, str]]  # by foreign key, and then by the value in its column


def names_of_objects(changes: Iterable[Net], using: str) -> Names:
    """Return the names of the objects to which the named foreign keys of changed rows refer: one query for each.

    An object that is gone by the end of the transaction has no name.
    """
    asked: dict[Any, set[Any]] = {}
    for one in changes:
        if one.audited.named and isinstance(one, NetChange):
            for field, value in _references(one, one.audited):
                asked.setdefault(field, set()).add(value)
    return {field: _named(field, using, [*values]) for field, values in asked.items() if values}


def _references(change: NetChange, audited: Audited) -> Iterable[tuple[Any, Any]]:
    names = [name for name in audited.named if name in (change.new if change.new is not None else change.old or ())]
    for name in names:
        for side in (change.old, change.new):
            if side is not None and (value := side.get(name)) is not None and value is not UNKNOWN:
                yield audited.fields[name], value


def _named(field: Any, using: str, values: list[Any]) -> dict[Any, str]:
    target = field.target_field
    rows: Any = QuerySet(field.remote_field.model).using(using)
    return {
        getattr(one, target.attname): str(one)[:LONGEST]
        for some in in_chunks(rows.model, using, values)
        for one in rows.filter(**{f"{target.name}__in": some})
    }
