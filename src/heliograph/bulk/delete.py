"""Deletions of many rows: receivers are called before them, and get the rows that they have really deleted."""

from __future__ import annotations

import sys
from typing import Any

from django.db.models import Model

from heliograph.bulk.audience import audience_of
from heliograph.bulk.delete_statements import (
    SIGNALS,
    deletion_of,
    empties_keys,
    has_audience,
    is_of_cascade,
    needs_instances,
    read_before,
)
from heliograph.bulk.deliver import deliver_deletion
from heliograph.bulk.write import as_one, as_they_were, in_place, in_transaction, is_in_place
from heliograph.orm.steps import Proceed
from heliograph.transactions.deleted_values import recorded
from heliograph.transactions.inline_batches import as_one_write


def delete(proceed: Proceed, collector: Any) -> Any:
    """Send the bulk signals of a deletion, if a model of its rows has an audience."""
    if not is_in_place() and not empties_keys(collector):
        return _sent(proceed, collector) if has_audience(collector) else proceed(collector)
    with in_place(None), as_one(is_of_cascade):  # inside of another deletion, this one is for itself
        return _sent(proceed, collector) if has_audience(collector) else proceed(collector)


def _sent(proceed: Proceed, collector: Any) -> Any:
    using, origin = collector.using, collector.origin
    instances = [one for of_model in collector.data.values() for one in of_model]
    # Django takes the keys of instances away before the commit.
    with as_they_were(instances, using), in_transaction(using, read_before(collector)):
        deletion = deletion_of(collector)
        for model, audience in deletion.audiences.items():
            if "pre_bulk_delete" in audience.signals and (rows := deletion.queryset(collector, model)) is not None:
                audience.send("pre_bulk_delete", model, queryset=rows, using=using, origin=origin)
        with as_one_write(is_deletion=True):
            with in_place(deletion), recorded(deletion):
                result = proceed(collector)
            for model, audience in deletion.audiences.items():
                if model in deletion.received:
                    deliver_deletion(audience, deletion, model, origin)
    return result


# --- which rows the admin asks about ------------------------------------------------------------------------------


def ask(proceed: Proceed, collector: Any, objs: Any, *args: Any, **kwargs: Any) -> Any:
    """Send that somebody asks which rows a deletion would take; an error for a protected row is an answer."""
    result = proceed(collector, objs, *args, **kwargs)
    if _is_question(collector) and objs:  # of another collector, a queryset would be evaluated
        model, using = type(objs[0]), collector.using
        audience = audience_of(model, "deletion_asked")
        if audience is not None:
            rows = model._base_manager.using(using).filter(pk__in=[one.pk for one in objs])
            audience.send("deletion_asked", model, queryset=rows, using=using, origin=collector.origin)
    return result


def _is_question(collector: Any) -> bool:
    """Return whether a collector is one of the admin, which takes an error for a protected row as an answer."""
    admin = sys.modules.get("django.contrib.admin.utils")  # it cannot be imported where its apps are not installed
    return admin is not None and isinstance(collector, admin.NestedObjects)


# --- which rows Django loads before it deletes them ---------------------------------------------------------------


def can_fast_delete(proceed: Proceed, collector: Any, objs: Any, from_field: Any) -> Any:
    """Say to `loads_instances` whether many rows are deleted: of a single instance Django sends its signals itself."""
    collector._heliograph_is_fast = not isinstance(objs, Model)
    try:
        return proceed(collector, objs, from_field)
    finally:
        del collector._heliograph_is_fast


def loads_instances(proceed: Proceed, collector: Any, model: Any) -> Any:
    """Return whether Django loads the rows of a model, which it does where it says that a signal has receivers."""
    if audience_of(model, *SIGNALS) is None:
        return proceed(collector, model)
    # Where rows are not loaded as a whole, Django leaves out the fields that it has no use for.
    return not getattr(collector, "_heliograph_is_fast", False) or needs_instances(model, collector.using)
