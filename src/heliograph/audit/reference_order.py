"""The order of created and deleted rows by their foreign keys: a row comes after the rows that it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from heliograph.audit.change_texts import key_text
from heliograph.audit.models import Entry
from heliograph.audit.named_rows import NamedRow, tables_of
from heliograph.audit.stored_changes import Related
from heliograph.changes.values import NO_ROW


def by_reference(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries of created or deleted rows, each after those of the rows that its row refers to."""
    entries = [*entries]
    rows = {name: entry for entry in entries for name in _names(entry)}
    found: dict[int, Entry] = {}
    seen: set[int] = set()

    def visit(entry: Entry) -> None:
        if entry.pk not in seen:
            seen.add(entry.pk)
            for name in _targets(entry):
                if name in rows:
                    visit(rows[name])
            found[entry.pk] = entry

    for entry in entries:
        visit(entry)
    return [*found.values()]


def _names(entry: Entry) -> Iterator[NamedRow]:
    """Yield the names of a row in all its tables, if they have one key."""
    for table in () if entry.model is None else tables_of(entry.model):
        yield NamedRow(table._meta.label, entry.object)


def _targets(entry: Entry) -> Iterator[NamedRow]:
    """Yield the names of the rows that a row refers to."""
    fields: list[Any] = [] if entry.model is None else entry.model._meta.concrete_fields
    for field in fields:
        change = entry.changes.get(field.name)
        if field.is_relation and change is not None and not isinstance(change, Related):
            label = field.related_model._meta.concrete_model._meta.label
            yield from (NamedRow(label, key_text(value)) for value in change if value is not NO_ROW)
