"""Comparisons: the values of a row before and after."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple

from django.db.models import DecimalField

from heliograph.changes.plans import ABSENT, DERIVED, Plan, Prepared, is_among, value_of
from heliograph.changes.presenting import presented
from heliograph.changes.values import (
    NO_ROW,
    SCALARS,
    UNKNOWN,
    Unknown,
    are_of_own_type,
    as_stored,
    is_equal,
    is_of_own_type,
    is_own_type,
    is_same,
    may_mutate,
    shown,
)


class Change(NamedTuple):
    """The old and the new value of a field; `UNKNOWN` for a value that cannot be known. A named tuple."""

    old: Any
    new: Any


class Changes(dict[str, Change]):
    """Changes by the names of fields; `changes["customer_id"]` finds the change of the foreign key `customer` too."""

    __slots__ = ("names",)

    def __init__(self, changes: Mapping[str, Change], names: Mapping[str, str]) -> None:
        super().__init__(changes)
        self.names = names  # of the foreign keys, by the names of their columns

    def __missing__(self, name: str) -> Change:
        if name in self:
            return self[self.names[name]]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or super().__contains__(self.names.get(name))  # type: ignore[call-overload]

    def get(self, name: str, default: Any = None) -> Any:
        if name in self:
            return self[name]
        return default


def by_name(fields: Iterable[Any], changes: Iterable[Change]) -> dict[str, Change]:
    """Return changes by the names of their fields; a foreign key is found by the name of its column too."""
    fields = [*fields]
    names = {field.attname: field.name for field in fields if field.attname != field.name}
    found = {field.name: change for field, change in zip(fields, changes, strict=True)}
    return Changes(found, names) if names else found


def stored(field: Any, value: Any, using: str | None) -> Any:
    """Return a value as a database stores it; unchanged if the field does not accept it."""
    if value is UNKNOWN or value is NO_ROW or is_of_own_type(field, value):
        return value
    if may_mutate(field) and not isinstance(field, DecimalField):
        return shown(value)
    try:
        return as_stored(field, value, using)
    except Exception:  # a field may raise any error for a value that it does not accept; so will the save
        return shown(value)


def all_stored(field: Any, column: Sequence[Any], using: str | None) -> Sequence[Any]:
    """Return the values of a column as a database stores them; equal values are converted once."""
    types = {*map(type, column)} - {NoneType, Unknown}
    if all(is_own_type(field, one) for one in types):
        return column
    if len(types) > 1 or not types <= SCALARS:
        return [stored(field, value, using) for value in column]
    known = {value: stored(field, value, using) for value in {*column}}
    return [*map(known.__getitem__, column)]


class Comparison(NamedTuple):
    """The values of a row before and after, in the order of a plan."""

    plan: Plan
    old: Sequence[Any]
    new: Sequence[Any]
    written: Collection[str] | None = None  # the names of the fields that a save is about, or None for all
    using: str | None = None  # the alias of the row's database, if the database may round values

    def change(self, at: int) -> Change | None:
        """Return the change of one field, or None; the values have the field's own type, as the database has them."""
        old, new, plan = self.old[at], self.new[at], self.plan
        if new is NO_ROW:
            return Change(self._before(at), NO_ROW)
        return self._special_change(at, old, new) if at in plan.special else self._change(at, old, new)

    def _change(self, at: int, old: Any, new: Any) -> Change | None:
        if new is ABSENT or (old is new and new is not UNKNOWN):
            return None
        field = self.plan.fields[at]
        if not are_of_own_type(field, old, new):
            old, new = self.stored(field, old), self.stored(field, new)
        if old is not UNKNOWN and new is not UNKNOWN and is_same(field, old, new):
            return None
        return Change(old, new) if self.written is None or is_among(field, self.written) else None

    def values(self, name: str) -> Change:
        """Return the old and the new value of a field, also if they are the same; UNKNOWN if no receiver watches it."""
        at = self.plan.positions.get(name)
        if at is None:
            return Change(UNKNOWN, UNKNOWN)
        change = self.change(at)
        return Change(self._before(at), self._before(at)) if change is None else change

    def new_value(self, name: str) -> Any:
        """Return the new value of a field that a receiver watches, of a row that is new."""
        at = self.plan.positions[name]
        if self.written is not None or at in self.plan.special or self.new[at] is ABSENT:
            return self.values(name).new
        return self.stored(self.plan.fields[at], self.new[at])

    def _before(self, at: int) -> Any:
        """Return the old value of a field, as its attribute gives it."""
        field = self.plan.fields[at]
        if at in self.plan.presented:
            return presented(self.plan.model, field, self._row())
        return self.stored(field, value_of(self.old[at]))

    def stored(self, field: Any, value: Any) -> Any:
        """Return a value as the database stores it; unchanged if the field does not accept it."""
        return stored(field, value, self.using)

    # --- fields that are more than their column

    def _special_change(self, at: int, old: Any, new: Any) -> Change | None:
        if at in self.plan.sources and (new is DERIVED or old is UNKNOWN):
            is_changed = any(self.change(source) is not None for source in self.plan.sources[at])
            known = UNKNOWN if new is DERIVED else new
            return Change(self.stored(self.plan.fields[at], old), known) if is_changed else None
        if type(old) is Prepared:
            if type(new) is not Prepared and is_same(self.plan.fields[at], old.attribute, new):
                return None
            old = old.value
        new = new.value if type(new) is Prepared else new
        change = self._change(at, old, new)
        return self._presented(at, change) if at in self.plan.presented else change

    def _presented(self, at: int, change: Change | None) -> Change | None:
        """Return the change of a field with the values of its attribute, also if only another column of it changed."""
        model, field = self.plan.model, self.plan.fields[at]
        if change is None and not any(self._column_change(other) for other in self.plan.columns_beside(at)):
            return None
        before, after = self._row(), self._row_after()
        old, new = presented(model, field, before), presented(model, field, after)
        if change is not None:
            return Change(old, new)
        # Two values of a class without __eq__ always differ, even if they were made of the same columns.
        is_same_twice = is_equal(old, presented(model, field, before))
        return Change(old, new) if is_same_twice and not is_equal(old, new) else None

    def _column_change(self, at: int) -> Change | None:
        old, new = value_of(self.old[at]), value_of(self.new[at])
        return None if new is DERIVED else self._change(at, old, new)

    def _row(self) -> dict[Any, Any]:
        pairs = zip(self.plan.fields, self.old, strict=True)
        return {field: self.stored(field, value_of(value)) for field, value in pairs}

    def _row_after(self) -> dict[Any, Any]:
        row = self._row()
        for field, value in zip(self.plan.fields, self.new, strict=True):
            if value is DERIVED:
                row[field] = UNKNOWN
            elif value is not ABSENT and is_among(field, self.written):
                row[field] = self.stored(field, value_of(value))
        return row

    def differs(self, names: Iterable[str]) -> bool:
        """Return whether one of the fields with these names is changed."""
        plan, old, new, *_ = self
        for name in names:
            at = plan.positions.get(name)
            # A value that is the same object has not changed; this test alone answers most calls.
            if at is None or (old[at] is new[at] and new[at] is not UNKNOWN and not plan.presented):
                continue
            if self.change(at) is not None:
                return True
        return False

    def changes(self, names: Iterable[str]) -> dict[str, Change]:
        """Return the changes of the fields with these names or attributes, by name."""
        plan = self.plan
        found = {at: self.change(at) for at in map(plan.positions.get, names) if at is not None}
        changes = {plan.fields[at]: change for at, change in found.items() if change is not None}
        return by_name(changes, changes.values())

    def all_changes(self) -> dict[str, Change]:
        """Return the changes of all fields but the key; none if nothing but fields with `auto_now` has changed."""
        plan, old, new, *_ = self
        changes = {}
        for at in range(plan.keys, len(new) - plan.beside):
            if old[at] is not new[at] or new[at] is UNKNOWN or plan.presented:
                change = self.change(at)
                if change is not None:
                    changes[plan.fields[at]] = change
        found = by_name(changes, changes.values())
        return {} if new is not plan.nothing and plan.automatic.issuperset(found) else found


def new_columns(rows: Sequence[Comparison | None], fields: Sequence[Any]) -> list[Sequence[Any]] | None:
    """Return the new values of these fields in whole columns, of rows that are new; None if a row is more than that."""
    first = rows[0]
    if first is None or any(one is None or one[:1] + one[3:] != (first.plan, None, first.using) for one in rows):
        return None
    ats = [first.plan.positions.get(field.name) for field in fields]
    columns = [[one.new[at] for one in rows if one is not None] for at in ats if at is not None]
    if len(columns) < len(fields) or not first.plan.special.isdisjoint(ats) or any(map(_has_absent, columns)):
        return None
    return [all_stored(field, column, first.using) for field, column in zip(fields, columns, strict=True)]


def _has_absent(column: Iterable[Any]) -> bool:
    return type(ABSENT) in {*map(type, column)}
