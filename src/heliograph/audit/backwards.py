"""Going backwards: how a row was at a point, from the entries that came after it.

Each field has the old value of the first entry after the point that has it. A deletion has all fields of the row; a
field that no entry after the point has is as it is now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.audit.models import Action, Entry
from heliograph.audit.stored_changes import MASKED, CutText, Related
from heliograph.changes.values import UNKNOWN


@dataclass
class Before:
    """How a row was before some entries, as far as these entries say."""

    existed: bool | None = None  # None: no entry says
    values: dict[str, Any] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)  # why, by the names of the fields
    # Whether the row was created or deleted after the point, so that the row of now says nothing.
    is_whole: bool = False


def before(entries: Iterable[Entry]) -> Before:
    """Return how a row was before entries of one table, which are given in their order."""
    found = Before()
    for entry in entries:
        if entry.action == Action.RELATED:
            continue
        if found.existed is None:
            found.existed = entry.action != Action.CREATED
        if entry.action != Action.CREATED:
            _add(found, entry)
        if entry.action != Action.UPDATED:
            found.is_whole = True
            break
    return found


def _add(found: Before, entry: Entry) -> None:
    for name in entry.fields:
        if name in found.values or name in found.unknown:
            continue
        reason = why_unknown(entry, name)
        if reason is None:
            found.values[name] = entry.changes[name].old  # type: ignore[union-attr]  # no relation
        else:
            found.unknown[name] = reason


def why_unknown(entry: Entry, name: str, side: str = "old") -> str | None:
    """Return why an entry does not have the old or the new value of a field; None if it has the value."""
    if entry.is_forgotten:
        return f"entry {entry.pk} was forgotten"
    change = entry.changes.get(name)
    value = UNKNOWN if change is None or isinstance(change, Related) else getattr(change, side)
    if value is MASKED:
        return f"entry {entry.pk} has masked it"
    if value is UNKNOWN:
        return f"entry {entry.pk} could not know it"
    return f"entry {entry.pk} has only the beginning of the text" if isinstance(value, CutText) else None


def keys_before(entries: Iterable[Entry], name: str, keys: Iterable[Any]) -> set[Any]:
    """Return the keys of a relation before entries, which are given from the last one; LookupError names a gap."""
    found = {*keys}
    for entry in entries:
        change = entry.changes.get(name)
        if not isinstance(change, Related):
            raise LookupError(f"entry {entry.pk} {'was forgotten' if entry.is_forgotten else 'has no keys'}")
        found = (found - {*change.added}) | {*change.removed}
    return found


def by_row(entries: Iterable[Entry]) -> Mapping[tuple[str, str], list[Entry]]:
    """Return entries by the label of the table and the text of the key."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.kind.model, entry.object), []).append(entry)
    return found
