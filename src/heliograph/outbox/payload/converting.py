"""A stored call is converted for a receiver whose `batch=` was changed while the call waited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from heliograph.catalogue import carried
from heliograph.changes.rows import Kind
from heliograph.changes.tracking import ALL
from heliograph.context.kept_context import current
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.payload.errors import UnreadableError
from heliograph.outbox.payload.stored_events import StoredEvent
from heliograph.transactions.batches import Batch, Event


def converted(payload: dict[str, Any], durable: DurableReceiver, using: str) -> dict[str, Any]:
    """Return the arguments of a call in the form that the receiver takes now.

    A call becomes a batch with one event, and the other way round. Raises UnreadableError for a call that cannot.
    """
    is_of_batch = isinstance(payload.get("batch"), Batch) and "batch" not in (carried(payload["signal"]) or ())
    if is_of_batch is durable.policy.batch:
        return payload
    return _as_call(payload["batch"], durable) if is_of_batch else _as_batch(payload, durable, using)


def _as_call(batch: Batch, durable: DurableReceiver) -> dict[str, Any]:
    if len(batch.events) != 1:
        raise UnreadableError(
            f"A batch of {len(batch.events)} waits for {durable.name}, which takes one call for each send now: put"
            " batch=True back until it is done."
        )
    (event,) = batch.events
    return {"signal": event.signal, "sender": event.sender, **event.kwargs, **_changes_of(event, durable)}


def _changes_of(event: Event, durable: DurableReceiver) -> dict[str, Any]:
    if event.kind is None:
        return {}
    if event.kind == "updated" and not event.fields:
        if durable.has_parameter("changes"):
            raise UnreadableError(f"A batch without changes waits for {durable.name}, which asks for changes now.")
        return {}
    return {"changes": event.changes} if event.kind == "updated" or durable.has_parameter("changes") else {}


def _as_batch(payload: Mapping[str, Any], durable: DurableReceiver, using: str) -> dict[str, Any]:
    signal, sender = payload["signal"], payload["sender"]
    event = StoredEvent(*(_kind(payload, durable), signal, sender), *_of_row(payload, durable))
    event = replace(event, context=current())
    return {"signal": signal, "sender": sender, "using": payload.get("using") or using, "batch": Batch((event,))}


def _kind(payload: Mapping[str, Any], durable: DurableReceiver) -> Kind | None:
    signal = payload["signal"]
    if signal is pre_save:
        raise UnreadableError(
            f"A call of pre_save waits for {durable.name}, which takes batches now: nobody knows whether its row was"
            " new."
        )
    if signal is post_save:
        return "created" if payload.get("created") else "updated"
    return "deleted" if signal is post_delete or signal is pre_delete else None


def _of_row(payload: Mapping[str, Any], durable: DurableReceiver) -> tuple[Any, ...]:
    """Return what an event has besides its kind, signal and sender."""
    kwargs = {name: value for name, value in payload.items() if name not in ("signal", "sender", "changes")}
    kind, instance, changes = _kind(payload, durable), payload.get("instance"), payload.get("changes")
    if kind is None or instance is None:
        return (kwargs,)
    if kind == "updated" and changes is None and durable.fields:
        raise UnreadableError(f"A call without changes waits for {durable.name}, whose batches have changes now.")
    loaded = {} if kind != "deleted" else {one.attname: one for one in instance._meta.concrete_fields}
    values = {name: instance.__dict__[name] for name in loaded if name in instance.__dict__}
    return kwargs, instance.pk, changes or {}, values, () if changes is None and not values else ALL
