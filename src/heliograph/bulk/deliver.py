"""Telling: receivers are called for rows that were written in bulk, or get them at the end of the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from django.db.models.signals import post_delete, post_save, pre_save

from heliograph.bulk import m2m
from heliograph.bulk.audience import Audience, bulk_receivers
from heliograph.bulk.delete import Deletion
from heliograph.bulk.moved_keys import apart
from heliograph.changes.current import without_wrapper
from heliograph.changes.rows import Rows
from heliograph.changes.saving import InBulk
from heliograph.changes.tracking import ALL
from heliograph.dispatch.guarded import Guarded
from heliograph.dispatch.reentrancy import refuse
from heliograph.dispatch.sends import send_to
from heliograph.transactions.batches import RowBatch, RowEvents, Told, payload_of
from heliograph.transactions.choosing import those_of
from heliograph.transactions.collect import BatchDeferral, received_rows
from heliograph.transactions.inline_batches import as_one_write
from heliograph.transactions.rows_at_work import not_at_work


def tell_before(model: Any, instances: Sequence[Any], **payload: Any) -> None:
    """Call the receivers of pre_save that hear bulk writes for each instance that is to be written."""
    told = bulk_receivers(pre_save, model)
    for instance in instances if told else ():
        send_to(told, pre_save, model, {"instance": instance, "raw": False, **payload})


def tell_of(
    audience: Audience, name: str, model: Any, writes: Sequence[Rows], unknown: Sequence[Any] = (), **payload: Any
) -> None:
    """Tell everybody of a write that is done, if it has done anything: those who hear its signal, then the others."""
    done = [rows for rows in writes if len(rows)]
    if name in audience and (done or unknown):
        told = [Told(rows, payload_of(rows, audience.signals[name]), ALL) for rows in done]
        audience.send(name, model, batch=RowBatch(RowEvents(told), unknown), **payload)
    with as_one_write():  # an upsert has created and updated rows
        for rows in done:
            tell(rows)
            m2m.note(audience, rows)


def tell_of_deleted(audience: Audience, deletion: Deletion, model: Any, origin: Any) -> None:
    """Tell everybody of the rows of a model that were deleted, but for what Django has told."""
    rows, loaded = deletion.rows(model), deletion.collected.get(model, {})
    many = rows.only([at for at, key in enumerate(rows.pks) if not deletion.is_origin(model, key)])
    if "post_bulk_delete" in audience and len(many):
        told = Told(many, payload_of(many, audience.signals["post_bulk_delete"], origin), ALL)
        audience.send("post_bulk_delete", model, batch=RowBatch(RowEvents([told])), using=rows.using, origin=origin)
    tell(rows.only([at for at, key in enumerate(rows.pks) if key not in loaded]), origin)
    m2m.note(audience, rows)


def tell(rows: Rows, origin: Any = None) -> None:
    """Deliver the rows of a bulk write to the receivers of post_save and post_delete with `bulk=True`."""
    if any(bulk_receivers(signal, rows.model) for signal in (post_save, post_delete)):
        for some in apart(rows):
            _tell(some, origin)


def _tell(rows: Rows, origin: Any) -> None:
    signal = post_delete if rows.kind == "deleted" else post_save
    told = bulk_receivers(signal, rows.model) if len(rows) else []
    payload = payload_of(rows, signal, origin)
    each = []
    for one in told:
        if isinstance(one.options.call, BatchDeferral):
            _note(one, one.options.call, rows, payload)
        else:
            each.append(one)
    if each:
        _tell_each(each, rows, payload)


def _note(one: Guarded, deferral: BatchDeferral, rows: Rows, payload: dict[str, Any]) -> None:
    """Let a receiver have the rows in its batch, but for those that it is at work on."""
    free = rows if one.reentrant == "allow" else not_at_work(one.receiver, rows)
    if len(free) < len(rows) and one.reentrant == "raise":
        refuse(one.receiver, {**payload, "instance": rows.instances[0]})
    if len(free):
        one.options.delivery.deliver(received_rows(one.receiver, payload, deferral, free))


def _tell_each(receivers: Sequence[Guarded], rows: Rows, payload: dict[str, Any]) -> None:
    """Call receivers for each row, as a save would: `changes` and conditions are about what was written."""
    signal, sender = payload["signal"], payload["sender"]
    carried = {name: value for name, value in payload.items() if name not in ("signal", "sender")}
    rows = _concerned(receivers, rows, payload)
    for at, instance in enumerate(rows.instances if len(rows) else ()):
        with nullcontext() if rows.kind == "deleted" else InBulk(without_wrapper(instance), rows.comparison(at)):
            send_to(receivers, signal, sender, {"instance": instance, **carried})


def _concerned(receivers: Sequence[Guarded], rows: Rows, payload: dict[str, Any]) -> Rows:
    """Return the rows for which one of the receivers may be called, before instances are made for the others too."""
    whens = [one.when for one in receivers if one.when is not None]  # those that hear bulk writes have one
    keys = {key for when in whens for key in those_of(rows, when, payload, is_sure=False).pks}
    return rows if len(keys) == len(rows) else rows.only([at for at, key in enumerate(rows.pks) if key in keys])
