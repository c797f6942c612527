"""Writes by `bulk_create()`: receivers are called before it, and get the rows that it has really written."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from functools import partial
from itertools import chain
from typing import Any

from heliograph.bulk.audience import Audience, audience_of
from heliograph.bulk.deliver import before_write, deliver_write, send_before
from heliograph.bulk.insert_statements import Insert, insertion_of
from heliograph.bulk.write import alias_of, as_they_were, in_place, in_transaction
from heliograph.orm.querysets import BulkCreate
from heliograph.orm.steps import Proceed
from heliograph.transactions.before_write import Attempts


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
        make = partial(insertion_of, create, using, instances, audience.reads_all("post_bulk_create"))
        insertion, before, attempts = make(), before_write(model, using), Attempts(using)
        if before is not None:
            attempts = before(insertion.due(instances))
        # Each attempt begins with an insertion that has recorded no rows.
        insertions = chain([insertion], iter(make, None))
        insertion, made = attempts.write(lambda: _inserted(proceed, create, next(insertions)))
        writes, unknown = insertion.writes(made), insertion.unknown(made)
        deliver_write(audience, "post_bulk_create", model, writes, unknown, **payload)
    return made


def _inserted(proceed: Proceed, create: BulkCreate, insertion: Insert) -> tuple[Insert, Any]:
    """Insert the rows; return the insertion, which knows them, and what Django's method returns."""
    with in_place(insertion):
        return insertion, proceed(create)
