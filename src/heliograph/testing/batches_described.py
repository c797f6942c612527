"""A batch as a test describes it: instances, and what has happened to their rows."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.db.models import Model
from django.db.models.signals import post_delete, post_save

from heliograph.changes.comparing import Comparison
from heliograph.changes.plans import plan_of_all
from heliograph.changes.rows import Kind
from heliograph.changes.tracking import ALL
from heliograph.changes.under_way import InBulk
from heliograph.context.kept_context import current
from heliograph.testing.described_sends import usual_values
from heliograph.testing.writes_under_way import Changes, compared, write_of
from heliograph.transactions.batches import Batch, Event, SentEvent


def batch_of(*instances: Model, kind: Kind = "updated", changes: Changes | None = None) -> Batch:
    """Return a `Batch` of these instances, for a receiver with `batch=True`.

        paid = batch_of(order, other, changes={"status": ("new", "paid")})
        signals.deliver(report, batch=paid)

    `kind` says what has happened to their rows: "created", "updated" or "deleted". `changes` has the old and the new
    value by the name of the field; the instances have the new values already.

    Raises TypeError for what is no instance, and for none; FieldDoesNotExist for an unknown field; and ValueError for
    another kind, for `changes` of rows that are not updated, and for an instance with another value than the new one.
    """
    if not instances:
        raise TypeError("batch_of() takes one instance at least: no receiver is given an empty batch.")
    for one in instances:
        if not isinstance(one, Model):
            raise TypeError(f"batch_of() takes instances of models, one by one, not {one!r}.")
    if kind not in ("created", "updated", "deleted"):
        raise ValueError(f"batch_of(kind={kind!r}): the rows of a batch are 'created', 'updated' or 'deleted'.")
    if changes and kind != "updated":
        raise ValueError(f"batch_of(changes=...) is for rows that are updated, not for rows that are {kind}.")
    return Batch(tuple(_event(one, kind, changes or {}) for one in instances))


def _event(instance: Model, kind: Kind, changes: Changes) -> Event:
    signal = post_delete if kind == "deleted" else post_save
    sent = usual_values(signal, {"instance": instance, "created": kind == "created"})
    return SentEvent(
        *(kind, signal, type(instance), sent),
        *(_compared(instance, kind, changes), ALL),
        key=instance.pk,
        held=instance,
        context=current(),
    )


def _compared(instance: Model, kind: Kind, changes: Changes) -> Comparison:
    if kind == "updated":
        return compared(instance, changes)
    plan = plan_of_all(type(instance))
    values = plan.of_instance(instance)
    return Comparison(plan, plan.unknown, values) if kind == "created" else Comparison(plan, values, plan.nothing)


def write_of_event(event: Event) -> AbstractContextManager[object]:
    """Return the block of the write that an event is about."""
    if event.kind == "updated" and event.comparison is not None:
        return InBulk(event.instance, event.comparison)
    return write_of({"signal": event.signal, "sender": event.sender, **event.kwargs}, None)
