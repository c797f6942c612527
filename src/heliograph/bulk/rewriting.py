"""Rewriting: what bulk_update does to the rows of its instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.bulk.sql import locking
from heliograph.changes.plans import Plan
from heliograph.changes.rows import Updated, in_chunks
from heliograph.changes.values import UNKNOWN, as_stored, is_same


@dataclass(frozen=True)
class Rewriting:
    """Instances whose rows are to get their values of some fields."""

    using: str
    plan: Plan
    instances: dict[Any, Any]  # by their primary keys, each once
    old: dict[Any, Sequence[Any]]  # what was in their rows; of rows that are not there, or left out, there is nothing

    @property
    def fields(self) -> Sequence[Any]:
        """The fields that are written."""
        return self.plan.fields[self.plan.keys :]

    def done(self) -> Updated:
        """Return the rows that have another value than before, now that all are written."""
        keys, new = self.plan.keys, self._new()
        changed = [key for key, old in self.old.items() if key in new and self._differs(old[keys:], new[key])]
        table = [(*self.old[key], *new[key]) for key in changed]
        names = frozenset(field.name for field in self.fields)
        given = [self.instances[key] for key in changed]
        return Updated(self.plan.model, self.using, names, self.plan, table, given=given)

    def _new(self) -> dict[Any, Sequence[Any]]:
        """Return the new values: those of the instances, or what the database has made of them."""
        new: dict[Any, Sequence[Any]] = {key: [*map(as_stored, self.fields, self._values(key))] for key in self.old}
        if not any(value is UNKNOWN for values in new.values() for value in values):
            return new
        rows = self.plan.model._base_manager.using(self.using).values_list(*self.plan.names)
        return {key: row[self.plan.keys :] for key, row in _read(rows, self.plan, self.using, [*self.old]).items()}

    def _values(self, key: Any) -> list[Any]:
        return [getattr(self.instances[key], field.attname) for field in self.fields]

    def _differs(self, old: Sequence[Any], new: Sequence[Any]) -> bool:
        return not all(map(is_same, self.fields, old, new))


def rewriting(queryset: Any, using: str, plan: Plan, instances: Sequence[Any]) -> Rewriting:
    """Lock and read the rows of instances that are about to be written through a query."""
    by_key: dict[Any, Any] = {}
    for instance in instances:
        key = instance.pk if plan.keys > 1 else plan.fields[0].to_python(instance.pk)
        by_key.setdefault(key, instance)  # of two with one row, the first one is written
    rows = locking(plan.model._base_manager.using(using)).values_list(*plan.names)
    if queryset._has_filters():
        rows = rows.filter(pk__in=queryset.using(using).values("pk"))
    return Rewriting(using, plan, by_key, _read(rows, plan, using, [*by_key]))


def _read(rows: Any, plan: Plan, using: str, keys: Sequence[Any]) -> dict[Any, Sequence[Any]]:
    found = (row for some in in_chunks(plan.model, using, keys) for row in rows.filter(pk__in=some))
    return {plan.key_of(row): row for row in found}
