"""Writes by `bulk_create()`: receivers are called before it, and get the rows that it has really written."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

from heliograph.bulk.audience import Audience, audience_of
from heliograph.bulk.deliver import before_write, deliver_write, send_before
from heliograph.bulk.insert_statements import insertion_of
from heliograph.bulk.write import alias_of, as_they_were, in_place, in_transaction
from heliograph.orm.querysets import BulkCreate
from heliograph.orm.steps import Proceed


def bulk_create(proceed: Proceed, create: BulkCreate) -> Any:
    """Send the bulk signals of an insertion, if its model has an audience."""
    audience = audience_of(create.queryset.model)
    if audience is None or (isinstance(create.instances, Sized) and not create.instances):
        return proceed(create)
    create.update_fields = None if create.update_fields is None else [*create.update_fields]
    create.unique_fields = None if create.unique_fields is None else [*create.unique_fields]
    create.instances = instances = [*create.instances]
    return _sent(proceed, create, instances, audience)


def _sent(proceed: Proceed, create: BulkCreate, instances: Sequence[Any], audience: Audience) -> Any:
    using, model, names = alias_of(create.queryset), create.queryset.model, create.update_fields
    payload: dict[str, Any] = {"update_fields": None if names is None else frozenset(names), "using": using}
    with as_they_were(instances, using), in_transaction(using, model if create.update_conflicts else None):
        audience.send("pre_bulk_create", model, instances=instances, **payload)
        send_before(model, instances, **payload)
        insertion = insertion_of(create, using, instances, audience.reads_all("post_bulk_create"))
        before = before_write(model, using)
        if before is not None:
            before(insertion.due(instances))
        with in_place(insertion):
            made = proceed(create)
        writes, unknown = insertion.writes(made), insertion.unknown(made)
        deliver_write(audience, "post_bulk_create", model, writes, unknown, **payload)
    return made
