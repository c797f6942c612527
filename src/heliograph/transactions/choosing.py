"""The choice of the rows of a bulk write for which a condition holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.changes.rows import Rows
from heliograph.conditions import Changed, NetPayload, asks_for_instance
from heliograph.dispatch import Condition
from heliograph.dispatch.condition_base import Both, Either, Not

Positions = Sequence[int]  # indexes of rows, in their order


def those_of(rows: Rows, when: Condition | None, payload: Mapping[str, Any], *, is_sure: bool = True) -> Rows:
    """Return the rows for which a condition holds; instances are made only if the condition may ask for them.

    With `is_sure=False` no instances are made, and the result also has the rows for which only an instance could
    decide. `payload` has the values that all sends about these rows share.
    """
    if when is None:
        return rows
    choice = _Choice(rows, NetPayload(payload), is_sure)
    chosen = choice.among(range(len(rows)), folded(when, payload))
    return rows if len(chosen) == len(rows) else rows.only(chosen)


def may_hold(when: Condition | None, payload: Mapping[str, Any]) -> bool:
    """Return whether a condition may hold for one of many rows that share this payload."""
    return when is None or folded(when, payload) is not False


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
        case Changed():
            return when
        case Condition() if not asks_for_instance(when):
            return when.holds(payload)
    return when


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
    payload: NetPayload
    is_sure: bool

    def among(self, positions: Positions, when: Condition | bool) -> Positions:
        """Return where a condition holds; its right side is tested only where the left side is not enough."""
        match when:
            case bool():
                return positions if when else ()
            case Both(left=left, right=right):
                return self.among(self.among(positions, left), right)
            case Either(left=left, right=right):
                first = self.among(positions, left)
                return sorted((*first, *self.among(_without(positions, first), right)))
            case Not(inner=inner) if self.is_sure or not _may_ask_for_instance(inner):
                return _without(positions, self.among(positions, inner))
            case Changed(fields=fields) if fields:
                changed = self.rows.positions_of_changes(fields)
                positions = changed if isinstance(positions, range) else _within(positions, changed)
                return positions if when.is_any else self._one_by_one(positions, when)
        if not self.is_sure and _may_ask_for_instance(when):
            return positions
        return self._one_by_one(positions, when)

    def _one_by_one(self, positions: Positions, when: Condition) -> Positions:
        rows, payload, needs_instance = self.rows, self.payload, _may_ask_for_instance(when)
        chosen = []
        for at in positions:
            payload.comparison = rows.comparison(at)
            if needs_instance:
                payload["instance"] = rows.instances[at]
            if when.holds(payload):
                chosen.append(at)
        return chosen


def _may_ask_for_instance(when: Condition) -> bool:
    return any(map(asks_for_instance, when.leaves()))


def _within(positions: Positions, others: Positions) -> Positions:
    among = {*others}
    return [at for at in positions if at in among]


def _without(positions: Positions, others: Positions) -> Positions:
    if not others:
        return positions
    among = {*others}
    return [at for at in positions if at not in among]
