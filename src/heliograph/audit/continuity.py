"""Continuity: a write past the ORM leaves a gap between two entries of a row, or between the last one and the row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import loads
from typing import Any

from heliograph.audit.audited_models import AUDITED, Audited
from heliograph.audit.chain import rows
from heliograph.audit.models import Action, Entry
from heliograph.audit.person_entries import kind_numbers_of
from heliograph.audit.present_rows import present_rows
from heliograph.outbox.payload.kinds import KIND

_OBJECTS = 300  # that are verified at a time
_TIMES = 3  # how often a row is read again that seems to differ: somebody may write it just now


class _Unknown:
    """A value that the log does not have: it was masked, cut, or forgotten."""


_UNKNOWN = _Unknown()

Values = dict[str, Any]  # by the names of fields, as JSON


@dataclass(frozen=True)
class Continuity:
    """Verifies that the old values of each entry are the new values of the entry before it of the same row."""

    using: str
    labels: Collection[str] = ()  # of the models; all that are audited if there are none

    def findings(self) -> Iterator[str]:
        """Yield a sentence for each value that no entry explains."""
        for audited in [*AUDITED.values()]:
            if not self.labels or audited.label in self.labels:
                yield from self._of_model(audited)

    def _of_model(self, audited: Audited) -> Iterator[str]:
        kinds, after = kind_numbers_of(self.using, [audited.label]), ""
        entries = rows(Entry, self.using).filter(kind__in=kinds)
        while keys := _keys(entries.filter(object__gt=after)):
            yield from self._of_objects(audited, keys, kinds)
            after = keys[-1]

    def _of_objects(self, audited: Audited, keys: Sequence[str], kinds: Sequence[int]) -> Iterator[str]:
        histories = self._histories(keys, kinds)
        rows_now = present_rows(audited, self.using, keys)
        for key in keys:
            if histories[key].gaps or [*_differences("", histories[key], rows_now.get(key))]:
                yield from self._again(audited, key)

    def _again(self, audited: Audited, key: str) -> Iterator[str]:
        """Yield the gaps of a row; it is read between two readings of its entries, until both find the same entries.

        Somebody may have written it since, perhaps by the first write of its kind.
        """
        before = self._history(audited, key)
        for _ in range(_TIMES):
            row = present_rows(audited, self.using, [key]).get(key)
            after = self._history(audited, key)
            if after.last == before.last:
                yield from after.gaps
                yield from _differences(f"{audited.label} {key}", after, row)
                return
            before = after
        yield from before.gaps

    def _history(self, audited: Audited, key: str) -> _History:
        return self._histories([key], kind_numbers_of(self.using, [audited.label]))[key]

    def _histories(self, keys: Sequence[str], kinds: Sequence[int]) -> Mapping[str, _History]:
        histories = {key: _History() for key in keys}
        entries = rows(Entry, self.using).filter(kind__in=kinds, object__in=keys).order_by("pk")
        columns = ("pk", "object", "kind__model", "kind__action", "kind__fields", "text")
        for number, key, label, action, fields, text in entries.values_list(*columns):
            histories[key].add(f"Entry #{number} of {label} {key}", action, fields, text)
            histories[key].last = number
        return histories


class _History:
    """The values that the entries of a row have left so far, and the gaps between them."""

    def __init__(self) -> None:
        self.gaps: list[str] = []
        self.values: Values = {}
        self.is_there: bool | None = None  # None before the first entry, which may be younger than the row
        self.last = 0  # the id of the last entry

    def add(self, named: str, action: str, fields: str, text: str) -> None:
        """Add the next entry."""
        if action == Action.RELATED:
            return
        names = fields.strip(",").split(",") if fields.strip(",") else []
        old, new = _sides(names, text)
        self.gaps += [f"{named} {gap} {_ADVICE}" for gap in self._gaps(action, old)]
        self.is_there = action != Action.DELETED
        self.values = new if action == Action.CREATED else {**self.values, **new}

    def _gaps(self, action: str, old: Values) -> Iterator[str]:
        if action == Action.CREATED:
            if self.is_there:
                yield "creates a row that was there: its deletion has no entry."
            return
        if self.is_there is False:
            yield "is about a row that was deleted: its creation has no entry."
            return
        for name, value in old.items():
            known = self.values.get(name, _UNKNOWN)
            if _UNKNOWN not in (known, value) and known != value:
                yield f"begins with {name} = {value!r}, and the entry before it left {known!r}: a write has no entry."


_ADVICE = (
    "Look for raw SQL, another program or _raw_delete() between the two, and write through the ORM; the gap itself"
    " stays in the log."
)
_ADVICE_NOW = (
    "Look for raw SQL or another program that wrote it last, and write the right value through the ORM: the next entry"
    " then begins with the value of the row."
)


def _sides(fields: Sequence[str], text: str) -> tuple[Values, Values]:
    """Return the values before and after an entry."""
    changes = loads(text) if text else {}
    sides = {name: _values(changes.get(name)) for name in fields}
    return {name: old for name, (old, _) in sides.items()}, {name: new for name, (_, new) in sides.items()}


def _values(change: Any) -> tuple[Any, Any]:
    """Return the value before and after; both are the same if there is only one."""
    if isinstance(change, dict) and KIND not in change and "cut" not in change:
        change = [change[name] for name in ("old", "new", "value") if name in change]
    if not isinstance(change, list) or not change:
        return _UNKNOWN, _UNKNOWN
    before, after = (_UNKNOWN if _is_unknown(one) else one for one in (change[0], change[-1]))
    return before, after


def _is_unknown(value: Any) -> bool:
    return isinstance(value, dict) and value.get(KIND) == "unknown"


def _differences(named: str, history: _History, row: Values | None) -> Iterator[str]:
    """Yield how a row of the database differs from what its entries have left."""
    if history.is_there is None:
        return
    if row is None or not history.is_there:
        if row is None and history.is_there:
            yield f"{named} is gone, and its last entry #{history.last} is no deletion. {_ADVICE_NOW}"
        elif row is not None:
            yield f"{named} is there, and its last entry #{history.last} is its deletion. {_ADVICE_NOW}"
        return
    for name, value in history.values.items():
        now = row.get(name, _UNKNOWN)
        if _UNKNOWN not in (now, value) and now != value:
            yield f"{named} has {name} = {now!r}, and its entries up to #{history.last} left {value!r}. {_ADVICE_NOW}"


def _keys(entries: Any) -> list[str]:
    return [*entries.order_by("object").values_list("object", flat=True).distinct()[:_OBJECTS]]
