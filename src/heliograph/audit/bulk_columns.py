"""Entries of bulk writes, made column by column: no object for each row, and the JSON of a column at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from json.encoder import encode_basestring_ascii
from operator import ne
from types import NoneType
from typing import Any, NamedTuple

from heliograph.audit.audited_models import Audited
from heliograph.audit.change_texts import MASKED_TEXT, compact, key_text
from heliograph.audit.digests import KindColumns
from heliograph.audit.recorded import Recorded
from heliograph.audit.sent_changes import is_of_relation, is_own, unread_names, written_names
from heliograph.changes.values import SCALARS, Unknown, may_mutate
from heliograph.outbox.payload.field_values import encoded_field
from heliograph.transactions.collect import ReceivedRows


class Entries(NamedTuple):
    """Columns of entries."""

    kinds: list[KindColumns]
    keys: list[str]
    texts: list[str]

    def extend(self, more: Entries) -> None:
        """Add other entries."""
        self.kinds.extend(more.kinds)
        self.keys.extend(more.keys)
        self.texts.extend(more.texts)

    def part(self, start: int, end: int | None = None) -> Entries:
        """Return the entries from one position to another."""
        return Entries(self.kinds[start:end], self.keys[start:end], self.texts[start:end])


class _NeedsRowsError(Exception):
    """Some values need a look at each row."""


def are_apart(calls: Sequence[Recorded]) -> bool:
    """Return whether calls about one model are all bulk writes, and no two of them wrote the same row."""
    written = [one.received.rows for one in calls if isinstance(one.received, ReceivedRows)]
    if len(written) < len(calls) or any(map(is_of_relation, calls)):
        return False
    return len(written) == 1 or len({key for rows in written for key in rows.pks}) == sum(map(len, written))


def entries_of(call: Recorded, limit: int | None) -> Entries | None:
    """Return the entries of a bulk write; None if they must be made row by row."""
    received, audited = call.received, call.audited
    assert isinstance(received, ReceivedRows)
    rows = received.rows
    if not is_own(rows.model, audited) or unread_names(audited, rows) or audited.named:
        return None
    names = sorted(written_names(audited, rows))
    try:
        if rows.kind == "updated":
            return _updated(audited, rows, names, limit)
        return _whole(audited, rows, names, limit)
    except _NeedsRowsError:
        return None


# --- rows that are new or gone ----------------------------------------------------------------------------------


def _whole(audited: Audited, rows: Any, names: list[str], limit: int | None) -> Entries:
    side = 0 if rows.kind == "deleted" else 1
    pieces = [f'"{name}":{MASKED_TEXT if name in audited.masked else "[%s]"}' for name in names]
    columns = [
        _column(audited.fields[name], rows.columns_of(name)[side], limit)
        for name in names
        if name not in audited.masked
    ]
    template = f"{{{','.join(pieces)}}}"
    texts = [template % row for row in zip(*columns, strict=True)] if columns else [template] * len(rows)
    kind = (audited.label, rows.kind, f",{','.join(names)},")
    return Entries([kind] * len(texts), _keys(rows.pks), texts)


# --- rows that were there before --------------------------------------------------------------------------------


def _updated(audited: Audited, rows: Any, names: list[str], limit: int | None) -> Entries:
    changes = ((name, _changes(audited, rows, name, limit)) for name in names)
    found = [(name, column) for name, column in changes if column is not None]
    if len(found) == 1:
        [(name, column)] = found
        at = [] if name in audited.automatic else [at for at, one in enumerate(column) if one]
        kind = (audited.label, "updated", f",{name},")
        return Entries([kind] * len(at), _keys(rows.pks, at), [f"{{{column[one]}}}" for one in at])
    return _of_several(audited, rows, [name for name, _ in found], [column for _, column in found])


def _changes(audited: Audited, rows: Any, name: str, limit: int | None) -> list[str] | None:
    """Return the JSON of the changes of a field, with an empty text for each row that keeps its value."""
    old, new = rows.columns_of(name)
    field = audited.fields[name]
    if may_mutate(field):
        raise _NeedsRowsError
    olds, news = _column(field, old, limit), _column(field, new, limit)
    if name in audited.masked:
        masked = f'"{name}":{MASKED_TEXT}'
        changed = [masked if differs else "" for differs in map(ne, olds, news)]
    else:
        changed = [
            f'"{name}":[{before},{after}]' if before != after else "" for before, after in zip(olds, news, strict=True)
        ]
    return changed if any(changed) else None


def _of_several(audited: Audited, rows: Any, names: list[str], columns: list[list[str]]) -> Entries:
    kinds: dict[tuple[bool, ...], KindColumns | None] = {}
    entries, keys = Entries([], [], []), _keys(rows.pks)
    for key, row in zip(keys, zip(*columns, strict=True), strict=False):
        which = tuple(map(bool, row))
        if which not in kinds:
            kinds[which] = _kind(audited, [name for name, is_changed in zip(names, which, strict=True) if is_changed])
        kind = kinds[which]
        if kind is not None:
            entries.kinds.append(kind)
            entries.keys.append(key)
            entries.texts.append(f"{{{','.join(filter(None, row))}}}")
    return entries


def _kind(audited: Audited, names: list[str]) -> KindColumns | None:
    """Return the kind of an update of these fields; None if that is no change."""
    return None if audited.automatic.issuperset(names) else (audited.label, "updated", f",{','.join(names)},")


# --- columns ----------------------------------------------------------------------------------------------------


def _keys(pks: Sequence[Any], positions: Sequence[int] | None = None) -> list[str]:
    some = pks if positions is None or len(positions) == len(pks) else [pks[at] for at in positions]
    return [*map(key_text, some)]


def _column(field: Any, column: Iterable[Any], limit: int | None) -> list[str]:
    """Return the JSON of each value of a column."""
    if isinstance(column, repeat):
        count = column.__length_hint__()
        return _json_of(field, [next(column)], limit) * count if count else []
    values = column if isinstance(column, list) else [*column]
    return _json_of(field, values, limit)


def _json_of(field: Any, values: Sequence[Any], limit: int | None) -> list[str]:
    types = {*map(type, values)}
    if Unknown in types:
        raise _NeedsRowsError
    if limit is not None and str in types and any(type(one) is str and len(one) > limit for one in values):
        raise _NeedsRowsError
    if types <= {int, bool, NoneType}:
        return compact([*values])[1:-1].split(",")
    if types == {str}:
        return [*map(encode_basestring_ascii, values)]
    if types <= SCALARS:
        known = {one: _json(field, one) for one in {*values}}
        return [*map(known.__getitem__, values)]
    return [_json(field, one) for one in values]


def _json(field: Any, value: Any) -> str:
    return compact(encoded_field(field, value))
