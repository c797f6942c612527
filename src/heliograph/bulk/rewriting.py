"""Rewriting: what bulk_update does to the rows of its instances."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.bulk.sql import locking
from heliograph.changes.chunks import in_chunks
from heliograph.changes.plans import Plan, plan_for, watched_among
from heliograph.changes.rows import Updated, normal_key
from heliograph.changes.values import UNKNOWN, as_stored, is_same


@dataclass(frozen=True)
class Rewriting:
    """Instances whose rows are to get their values of some fields."""

    using: str
    plan: Plan  # of these fields, and of generated ones that somebody watches
    names: frozenset[str]  # of the fields that are written
    instances: dict[Any, Any]  # by their primary keys, each once
    old: dict[Any, Sequence[Any]]  # what was in their rows; of rows that are not there, or left out, there is nothing

    @property
    def fields(self) -> Sequence[Any]:
        """The fields whose values may change."""
        return self.plan.fields[self.plan.keys :]

    def done(self) -> Updated:
        """Return the rows that have another value than before, now that all are written."""
        keys, new = self.plan.keys, self._new()
        changed = [key for key, old in self.old.items() if key in new and self._differs(old[keys:], new[key])]
        table = [(*self.old[key], *new[key]) for key in changed]
        given = [self.instances[key] for key in changed] if self._knows_all() else None
        return Updated(self.plan.model, self.using, self.names, self.plan, table, given=given)

    def _knows_all(self) -> bool:
        """Return whether each row has its instance: the database may take two keys for one, such as "FR" and "fr"."""
        return self.old.keys() <= self.instances.keys()

    def _new(self) -> dict[Any, Sequence[Any]]:
        """Return the new values: those of the instances, or what the database has made of them."""
        if self._knows_all() and not any(field.generated for field in self.fields):
            new: dict[Any, Sequence[Any]] = {key: [*map(as_stored, self.fields, self._set(key))] for key in self.old}
            if not any(value is UNKNOWN for values in new.values() for value in values):
                return new
        rows = self.plan.model._base_manager.using(self.using).values_list(*self.plan.names)
        return {key: row[self.plan.keys :] for key, row in _read(rows, self.plan, self.using, [*self.old]).items()}

    def _set(self, key: Any) -> list[Any]:
        return [getattr(self.instances[key], field.attname) for field in self.fields]

    def _differs(self, old: Sequence[Any], new: Sequence[Any]) -> bool:
        return not all(map(is_same, self.fields, old, new))


def rewriting(queryset: Any, using: str, names: Collection[str], instances: Sequence[Any]) -> Rewriting:
    """Lock and read the rows of instances of which fields with these names are about to be written through a query."""
    model = queryset.model
    written = [model._meta.get_field(name) for name in names]
    plan = plan_for(model, [*dict.fromkeys([*written, *watched_among(model, written)])])
    by_key: dict[Any, Any] = {}
    for instance in instances:
        by_key.setdefault(normal_key(instance), instance)  # of two with one row, the first one is written
    rows = locking(model._base_manager.using(using)).values_list(*plan.names)
    if queryset._has_filters():
        rows = rows.filter(pk__in=queryset.using(using).values("pk"))
    old = _read(rows, plan, using, [*by_key])
    return Rewriting(using, plan, frozenset(field.name for field in written), by_key, old)


def _read(rows: Any, plan: Plan, using: str, keys: Sequence[Any]) -> dict[Any, Sequence[Any]]:
    found = (row for some in in_chunks(plan.model, using, keys) for row in rows.filter(pk__in=some))
    return {plan.key_of(row): row for row in found}
