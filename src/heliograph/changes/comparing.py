"""Comparisons: the values of a row before and after."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from heliograph.changes.plans import ABSENT, Plan, is_among
from heliograph.changes.values import SCALARS, UNKNOWN, is_same, shown


class Change(NamedTuple):
    """The old and the new value of a field; UNKNOWN where one cannot be known."""

    old: Any
    new: Any


class Comparison(NamedTuple):
    """The values of a row before and after, in the order of a plan."""

    plan: Plan
    old: Sequence[Any]
    new: Sequence[Any]
    written: Collection[str] | None = None  # the names of the fields that a save is about, or None for all

    def change(self, at: int) -> Change | None:
        """Return the change of one field, or None."""
        old, new = self.old[at], self.new[at]
        if new is ABSENT or (old is new and new is not UNKNOWN):
            return None
        field = self.plan.fields[at]
        if type(new) not in SCALARS:
            new = shown(new)
        if old is not UNKNOWN and new is not UNKNOWN and is_same(field, old, new):
            return None
        return Change(old, new) if is_among(field, self.written) else None

    def values(self, name: str) -> Change:
        """Return the old and the new value of a field, whether they differ or not; UNKNOWN where nobody compares it."""
        at = self.plan.places.get(name)
        if at is None:
            return Change(UNKNOWN, UNKNOWN)
        old, new = self.old[at], self.new[at]
        return Change(shown(old), shown(old if new is ABSENT else new))

    def differs(self, names: Iterable[str]) -> bool:
        """Return whether one of the fields with these names is changed."""
        plan, old, new, _ = self
        for name in names:
            at = plan.places.get(name)
            if at is not None and (old[at] is not new[at] or new[at] is UNKNOWN) and self.change(at) is not None:
                return True
        return False

    def changes(self, names: Iterable[str]) -> dict[str, Change]:
        """Return the changes of the fields with these names."""
        places = self.plan.places
        found = ((name, self.change(places[name])) for name in names if name in places)
        return {name: change for name, change in found if change is not None}

    def all_changes(self) -> dict[str, Change]:
        """Return the changes of all fields but the key; that auto_now sets its field is none by itself."""
        plan, old, new, _ = self
        changes = {}
        for at in range(plan.keys, len(new)):
            # The same object is mostly all there is to see.
            if (old[at] is not new[at] or new[at] is UNKNOWN) and (change := self.change(at)) is not None:
                changes[plan.fields[at].name] = change
        return {} if new is not plan.nothing and plan.automatic.issuperset(changes) else changes
