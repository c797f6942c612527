"""Due rows: rows that a bulk write is about to write, with the values in the database and the values to come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from django.db.models import Model

from heliograph.bulk.read import fields_to_read
from heliograph.bulk.sql import locking
from heliograph.changes.comparing import stored
from heliograph.changes.plans import Plan
from heliograph.changes.row_locks import rows_by_keys
from heliograph.changes.rows import Rows, Updated, normal_key
from heliograph.changes.values import UNKNOWN
from heliograph.transactions.before_write import Attempts

# What is called before rows are written, and returns the attempts of the write; an upsert has new rows and others.
Before = Callable[[Sequence[Rows]], Attempts]


@dataclass(frozen=True, eq=False, repr=False)
class Due(Updated):
    """Rows that are about to be updated; instances that are made of them have the values to come."""

    assigned: Mapping[str, Any] = field(default_factory=dict)  # the values that all rows are to have, by attribute

    @cached_property
    def instances(self) -> Sequence[Any]:  # type: ignore[override]  # as in the base
        instances = super().instances
        for at, instance in enumerate(instances if self.given is None else ()):
            known = dict(zip(self.plan.names, self.comparison(at).new, strict=True))
            for name, value in self.assigned.items():
                setattr(instance, name, value if known.get(name, UNKNOWN) is UNKNOWN else known[name])
        return instances


def due(rows: Updated, values: Mapping[Any, Any]) -> Due:
    """Return rows before an update that sets these values, by field."""
    assigned = {one.attname: _plain(one, value) for one, value in values.items()}
    return Due(rows.model, rows.using, rows.update_fields, rows.plan, rows.table, rows.sources, None, assigned)


def _plain(one: Any, value: Any) -> Any:
    return value.prepare_database_save(one) if isinstance(value, Model) else value


def due_by_keys(query: Any, keys: Sequence[Any], values: Mapping[str, Any], using: str) -> Due:
    """Lock and read rows before an update by their keys, which sets these values by the names of fields."""
    by_field = {query.get_meta().get_field(name): value for name, value in values.items()}
    alike = SimpleNamespace(**{one.attname: _plain(one, value) for one, value in by_field.items()})
    rows = query.model._base_manager.using(using)
    return due(_locked(rows, keys, [*by_field], lambda _: alike), by_field)


def due_instances(queryset: Any, instances: Sequence[Any], names: Iterable[str], using: str) -> Updated:
    """Lock and read the rows of instances before a `bulk_update()` of the fields with these names."""
    model = queryset.model
    fields = [*{model._meta.get_field(name): None for name in names}]
    by_key: dict[Any, Any] = {}
    for instance in instances:
        instance._prepare_related_fields_for_save(operation_name="bulk_update", fields=fields)
        by_key.setdefault(normal_key(instance), instance)  # of two instances of one row, Django writes the first
    rows = model._base_manager.using(using)
    if queryset.query.where:
        rows = rows.filter(pk__in=queryset.using(using).order_by().values("pk"))
    found = _locked(rows, [one.pk for one in instances], fields, by_key.get)
    given = [by_key.get(key) for key in found.pks]
    return found if None in given else replace(found, given=given)


def _locked(rows: Any, keys: Sequence[Any], fields: Sequence[Any], source_of: Callable[[Any], Any]) -> Updated:
    """Lock and read the rows with these keys, before these fields are updated."""
    model, using = rows.model, rows.db
    asked = fields_to_read(model, tuple(fields), reads_all=False)
    olds = rows_by_keys(locking(rows).values_list(*asked.plan.names), keys)
    table = [(*old, *news(asked.plan, old, fields, using, source_of(asked.plan.key_of(old)))) for old in olds]
    return Updated.of(model, using, asked.names, asked.plan, table)


def news(plan: Plan, old: Sequence[Any], fields: Collection[Any], using: str, source: Any) -> Iterator[Any]:
    """Yield the values that a row will have if these fields get the attributes of `source`; None if nobody knows it."""
    for at, one in enumerate(plan.fields[plan.keys :], plan.keys):
        if one in fields:
            yield UNKNOWN if source is None else stored(one, getattr(source, one.attname), using)
        else:
            yield UNKNOWN if one.generated else old[at]
