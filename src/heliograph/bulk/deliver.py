"""Delivery: the rows of a bulk write go to the receivers, now or at the end of the transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from django.db.models.signals import post_delete, post_save, pre_save

from heliograph.bulk import m2m
from heliograph.bulk.audience import Audience, bulk_receivers, bulk_receivers_before
from heliograph.bulk.delete_statements import Deletion
from heliograph.bulk.due_rows import Before
from heliograph.bulk.moved_keys import apart, sets_keys
from heliograph.changes.current import without_wrapper
from heliograph.changes.rows import Rows, Updated
from heliograph.changes.tracking import ALL
from heliograph.changes.under_way import InBulk
from heliograph.context.kept_context import current
from heliograph.dispatch.guarded import SKIPPED, Guarded, receiver_of
from heliograph.dispatch.observed_calls import ObservedSend, current_call
from heliograph.dispatch.reentrancy import at_work, refuse
from heliograph.dispatch.scopes import current as current_scopes
from heliograph.dispatch.scopes import watch
from heliograph.dispatch.sends import send_to
from heliograph.dispatch.skip_reasons import SkipReason
from heliograph.transactions.batches import RowBatch, RowEvents, WrittenRows, payload_of
from heliograph.transactions.before_write import Attempts
from heliograph.transactions.choosing import may_hold, those_of
from heliograph.transactions.collect import BatchDeferral, Received, received_rows
from heliograph.transactions.inline_batches import as_one_write
from heliograph.transactions.pending import WritePayload
from heliograph.transactions.rows_at_work import not_at_work


def send_before(model: Any, instances: Sequence[Any], **payload: Any) -> None:
    """Send pre_save to the receivers with `bulk=True`, for each instance that is to be written."""
    receivers = bulk_receivers(pre_save, model)
    for instance in instances if receivers else ():
        send_to(receivers, pre_save, model, {"instance": instance, "raw": False, **payload})


def before_write(model: Any, using: str, updated: Collection[str] | None = None) -> Before | None:
    """Return what calls receivers before rows of a model are written; None if no receiver waits for this.

    `updated` are the names of the fields that an update sets. Receivers of new rows alone do not wait for an update.
    """
    payload = WritePayload(signal=pre_save, sender=model, using=using, raw=False)
    if updated is not None:
        payload.update(created=False, update_fields=frozenset(updated))
    receivers = [one for one in bulk_receivers_before(model) if one.options.may_admit(payload)]
    is_received = any(updated is None or may_hold(one.options.when, payload) for one in receivers)
    return partial(_deliver_before, model, using) if is_received else None


def _deliver_before(model: Any, using: str, writes: Sequence[Rows]) -> Attempts:
    """Call each receiver with all rows that a write is about to write; return the attempts of this write."""
    attempts = Attempts(using)
    for one in bulk_receivers_before(model):
        found = (_received(one, rows, WritePayload(payload_of(rows, pre_save))) for rows in writes if len(rows))
        calls = [call for call in found if call is not None]
        if calls:
            attempts.call(one, calls)
    return attempts


def deliver_write(
    audience: Audience, name: str, model: Any, writes: Sequence[Rows], unknown: Sequence[Any] = (), **payload: Any
) -> None:
    """Deliver a write, if it has written anything: by the signal of this name, and then row by row or in batches."""
    done = [rows for rows in writes if len(rows)]
    if name in audience.signals and (done or unknown):
        written = [WrittenRows(rows, payload_of(rows, audience.signals[name]), ALL, current()) for rows in done]
        audience.send(name, model, batch=RowBatch(RowEvents(written), unknown), **payload)
    with as_one_write():  # an upsert has created and updated rows
        for rows in done:
            _deliver(rows)
            if "m2m_changes" in audience.signals:
                m2m.collect(rows)


def deliver_update(audience: Audience, rows: Updated) -> None:
    """Deliver the rows of an update, of which there is one at least."""
    if "post_update" in audience.signals or "m2m_changes" in audience.signals or rows.plan.has_new_keys:
        names = rows.update_fields
        deliver_write(audience, "post_update", rows.model, [rows], update_fields=names, using=rows.using)
        return
    # No code of the project has run since the audience was asked for.
    receivers = [one for found in audience.receivers.get("post_save", ()) if (one := found()) is not None]
    with as_one_write():
        _deliver_to(receivers, rows, payload_of(rows, post_save))


def deliver_deletion(audience: Audience, deletion: Deletion, model: Any, origin: Any) -> None:
    """Deliver the deleted rows of a model, except those for which Django has sent signals."""
    rows, loaded = deletion.rows(model), deletion.collected.get(model, {})
    many = rows.only([at for at, key in enumerate(rows.pks) if not deletion.is_origin(model, key)])
    if "post_bulk_delete" in audience.signals and len(many):
        written = WrittenRows(many, payload_of(many, audience.signals["post_bulk_delete"], origin), ALL, current())
        audience.send("post_bulk_delete", model, batch=RowBatch(RowEvents([written])), using=rows.using, origin=origin)
    _deliver(rows.only([at for at, key in enumerate(rows.pks) if key not in loaded]), origin)
    if "m2m_changes" in audience.signals and len(rows):
        m2m.collect(rows)


def _deliver(rows: Rows, origin: Any = None) -> None:
    """Deliver the rows of a bulk write to the receivers of post_save and post_delete with `bulk=True`."""
    groups = [rows]
    if sets_keys(rows) and any(bulk_receivers(signal, rows.model) for signal in (post_save, post_delete)):
        groups = apart(rows)
    for group in groups:
        signal = post_delete if group.kind == "deleted" else post_save
        receivers = bulk_receivers(signal, group.model)
        if receivers and len(group):
            _deliver_to(receivers, group, payload_of(group, signal, origin))


def _deliver_to(receivers: Sequence[Guarded], rows: Rows, payload: dict[str, Any]) -> None:
    each = []
    for one in receivers:
        if isinstance(one.options.call, BatchDeferral):
            _put_off(one, rows, payload)
        else:
            each.append(one)
    if each:
        _send_each(each, rows, payload)


def _put_off(one: Guarded, rows: Rows, payload: dict[str, Any]) -> None:
    """Hand the rows to the policy of a receiver that is called with a batch."""

    def keep() -> Any:
        received = _received(one, rows, payload)
        return SKIPPED if received is None else one.options.delivery.deliver(received)

    scopes = current_scopes() if watch else ()
    if scopes:
        send = ObservedSend(scopes, payload, current_call())
        send.put_off(receiver_of(one), one.options.delivery, keep, lambda: _why_none(one, payload))
    else:
        keep()


def _why_none(one: Guarded, payload: dict[str, Any]) -> SkipReason:
    return one.options.refusal(payload) or one.why_skipped()


def _received(one: Guarded, rows: Rows, payload: dict[str, Any]) -> Received | None:
    """Return the rows as a receiver gets them in its batch: without those that it is handling already; None if none."""
    receiver, free, deferral = one.connection.receiver(), rows, one.options.call
    if receiver is None or not isinstance(deferral, BatchDeferral) or not one.options.may_admit(payload):
        return None
    if one.reentrant != "allow" and at_work():
        free = not_at_work(receiver, rows)
        if free is not rows and one.reentrant == "raise":
            refuse(receiver, {**payload, "instance": rows.instances[0]})
    return received_rows(receiver, payload, deferral, free) if free is rows or len(free) else None


def _send_each(receivers: Sequence[Guarded], rows: Rows, payload: dict[str, Any]) -> None:
    """Send each row, as a save would; `changes` and conditions compare the written values."""
    signal, sender = payload["signal"], payload["sender"]
    carried = {name: value for name, value in payload.items() if name not in ("signal", "sender")}
    rows = _concerned(receivers, rows, payload)
    for at, instance in enumerate(rows.instances if len(rows) else ()):
        with nullcontext() if rows.kind == "deleted" else InBulk(without_wrapper(instance), rows.comparison(at)):
            send_to(receivers, signal, sender, {"instance": instance, **carried})


def _concerned(receivers: Sequence[Guarded], rows: Rows, payload: dict[str, Any]) -> Rows:
    """Return the rows for which one of the receivers may be called, before instances are made for the others too."""
    whens = [one.options.when for one in receivers]
    keys = {
        key for when in whens for key in (rows if when is None else those_of(rows, when, payload, is_sure=False)).pks
    }
    return rows if len(keys) == len(rows) else rows.only([at for at, key in enumerate(rows.pks) if key in keys])
