"""Choosing: the rows of a bulk write for which a condition holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.changes.rows import Rows
from heliograph.conditions import Changed, NetPayload, asks_for_instance
from heliograph.dispatch import Condition
from heliograph.dispatch.condition_base import Both, Either, Not

Places = Sequence[int]  # indexes of rows, in their order


def those_of(rows: Rows, when: Condition, payload: Mapping[str, Any], *, is_sure: bool = True) -> Rows:
    """Return the rows for which a condition holds; instances are made only if the condition may ask for them.

    With `is_sure=False` no instances are made, and the result also has the rows for which only an instance could
    decide. `payload` has the values that all sends about these rows share.
    """
    choice = _Choice(rows, NetPayload(payload), is_sure)
    chosen = choice.among(range(len(rows)), folded(when, payload))
    return rows if len(chosen) == len(rows) else rows.only(chosen)


def folded(when: Condition | bool, payload: Mapping[str, Any]) -> Condition | bool:
    """Return the rest of a condition, after the parts that are the same for all rows of a write are answered.

    `created | changed("stock")` becomes `changed("stock")` for an update, and True for an insertion.
    """
    match when:
        case Both(left=left, right=right):
            return _both(folded(left, payload), folded(right, payload))
        case Either(left=left, right=right):
            return _either(folded(left, payload), folded(right, payload))
        case Not(inner=inner):
            return _not(folded(inner, payload))
        case Condition() if not _is_of_row(when):
            return when.holds(payload)
    return when


def _is_of_row(leaf: Condition) -> bool:
    return isinstance(leaf, Changed) or asks_for_instance(leaf)


def _both(left: Condition | bool, right: Condition | bool) -> Condition | bool:
    if isinstance(left, bool):
        return left and right
    return left & right if not isinstance(right, bool) else right and left


def _either(left: Condition | bool, right: Condition | bool) -> Condition | bool:
    if isinstance(left, bool):
        return left or right
    return left | right if not isinstance(right, bool) else right or left


def _not(inner: Condition | bool) -> Condition | bool:
    return not inner if isinstance(inner, bool) else ~inner


@dataclass(frozen=True)
class _Choice:
    """The rows that a condition chooses from: it compares changes in whole columns, all else row by row."""

    rows: Rows
    told: NetPayload
    is_sure: bool

    def among(self, places: Places, when: Condition | bool) -> Places:
        """Return the places at which a condition holds; the right side is tested only where the left is not enough."""
        match when:
            case bool():
                return places if when else ()
            case Both(left=left, right=right):
                return self.among(self.among(places, left), right)
            case Either(left=left, right=right):
                first = self.among(places, left)
                return sorted((*first, *self.among(_without(places, first), right)))
            case Not(inner=inner) if self.is_sure or not _may_ask_for_instance(inner):
                return _without(places, self.among(places, inner))
        return self._of_leaf(places, when)

    def _of_leaf(self, places: Places, when: Condition) -> Places:
        if isinstance(when, Changed) and when.fields:
            changed = self.rows.places_of_changes(when.fields)
            places = _within(places, changed)
            return places if when.is_any else self._one_by_one(places, when)
        if not self.is_sure and _may_ask_for_instance(when):
            return places
        return self._one_by_one(places, when)

    def _one_by_one(self, places: Places, when: Condition) -> Places:
        rows, told, needs_instance = self.rows, self.told, _may_ask_for_instance(when)
        chosen = []
        for at in places:
            told.comparison = rows.comparison(at)
            if needs_instance:
                told["instance"] = rows.instances[at]
            if when.holds(told):
                chosen.append(at)
        return chosen


def _may_ask_for_instance(when: Condition) -> bool:
    return any(map(asks_for_instance, when.leaves()))


def _within(places: Places, others: Places) -> Places:
    if isinstance(places, range):  # all of them
        return others
    among = {*others}
    return [at for at in places if at in among]


def _without(places: Places, others: Places) -> Places:
    if not others:
        return places
    among = {*others}
    return [at for at in places if at not in among]
