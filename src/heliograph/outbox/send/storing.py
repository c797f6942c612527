"""Storing: calls become rows of the table, in the transaction of their sends."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Model

from heliograph.dispatch import Call
from heliograph.dispatch.describe import describe
from heliograph.outbox.durable.names import label_of
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.migrating import has_table
from heliograph.outbox.payload.calls import is_lasting, text_of
from heliograph.outbox.payload.errors import UnsavedError, UnstorableError
from heliograph.outbox.rows import DeliveryRow
from heliograph.outbox.send.enqueueing import enqueue
from heliograph.transactions.collect import Received
from heliograph.transactions.net import BatchCall, together
from heliograph.transactions.pending import Pending

logger = logging.getLogger("heliograph.outbox")

# No payload is longer than this, in bytes.
LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredCall(Call):
    """A call whose row is made already, and is written before the commit."""

    durable: DurableReceiver
    row: DeliveryRow
    primary_key: Any  # of the instance when it was sent


# --- when it is sent --------------------------------------------------------------------------------------------


def stored(call: Any, using: str) -> Any:
    """Return a call with its row; a call of a batch, or one whose instance has no key yet, as it is.

    Raises TypeError for what cannot be stored, and ValueError for what is too much.
    """
    if isinstance(call, Received):
        return call
    try:
        return _stored_call(call, durable_of(call), using, call.primary_key)
    except UnsavedError:
        return call  # pre_save sends it before the database has given it a key


def durable_of(call: Any) -> DurableReceiver:
    """Return the durable receiver of a call."""
    durable: DurableReceiver = call.deferral.options.find(DurableReceiver)
    return durable


def _stored_call(call: Call, durable: DurableReceiver, using: str, primary_key: Any = None) -> StoredCall:
    payload, policy = call.payload, durable.policy
    try:
        text = _text_before(call, durable, using, primary_key) or text_of(call, durable, using, primary_key)
    except UnsavedError:
        raise
    except UnstorableError as error:
        raise _refusal(durable, call, error) from None
    if len(text) > LIMIT:  # it is ASCII
        raise ValueError(
            f"{describe(call.receiver)} was sent too much by {durable.signal}: {len(text):,} bytes as JSON, and a"
            f" delivery has {LIMIT:,} at most. Send the keys of rows, and read them in the receiver."
        )
    sender = durable.sender if payload["sender"] is durable.model else label_of(payload["sender"])
    key = "" if policy.key is None else _key(policy.key, durable, payload)
    row = DeliveryRow(policy.backend, policy.queue, durable.name, durable.signal[:255], sender, key, text)
    return StoredCall(call.receiver, payload, durable, row, primary_key)


def _text_before(call: Call, durable: DurableReceiver, using: str, key: Any) -> str | None:
    """Return the text that was stored for the receiver before, if that was called with the same.

    Ten receivers of one save have ten deliveries, whose texts are made once.
    """
    entries = connections[using].run_on_commit
    before: Any = entries and getattr(entries[-1][1], "call", None)
    if type(before) is not StoredCall or (before.durable.signal, before.primary_key) != (durable.signal, key):
        return None
    names = call.payload.keys()
    is_same = names == before.payload.keys() and all(call.payload[name] is before.payload[name] for name in names)
    return before.row.payload if is_same and is_lasting(call.payload) else None


def _refusal(durable: DurableReceiver, call: Call, error: UnstorableError) -> TypeError:
    return TypeError(
        f"{durable.signal} has sent {describe(call.receiver)}, which is called by a worker, what cannot be stored:"
        f" {error}. Send values that JSON has, dates, decimals, UUIDs or instances of models."
    )


# --- before the commit ------------------------------------------------------------------------------------------


def write(due: Sequence[Pending]) -> None:
    """Write the rows of these calls, in one statement for each database."""
    rows: dict[str, list[DeliveryRow]] = {}
    for one in due:
        call = one.call if isinstance(one.call, StoredCall) else _stored_at_last(one.call, one.using)
        if call is not None:
            rows.setdefault(one.using, []).append(call.row)
    for using, of_database in rows.items():
        if has_table(using):
            enqueue(using, of_database)
        else:
            logger.info("migrate has not made the table yet: %d calls on %r are left out", len(of_database), using)


def _stored_at_last(call: Any, using: str) -> StoredCall | None:
    """Return a call of a batch, or one whose instance had no key, with its row; None for an empty batch."""
    if isinstance(call, Received):  # where somebody makes what waits for a commit one by one, as tests do
        call = together([call])
    if isinstance(call, BatchCall):
        return _stored_batch(call, using)
    try:
        return _stored_call(call, durable_of(call), using, call.primary_key)
    except UnsavedError as error:
        raise _refusal(durable_of(call), call, error) from None


def _stored_batch(call: BatchCall, using: str) -> StoredCall | None:
    found = call.batch_and_handling()
    if found is None:
        return None
    batch, _ = found
    return _stored_call(Call(call.receiver, {**call.payload, "batch": batch}), durable_of(call.sends[0]), using)


# --- keys -------------------------------------------------------------------------------------------------------


def _key(wanted: str | Callable[..., Any], durable: DurableReceiver, payload: dict[str, Any]) -> str:
    """Return the key of a delivery, "" for none."""
    value = _at(wanted.split("."), payload, durable) if isinstance(wanted, str) else wanted(**payload)
    if value is None:
        return ""
    text = str(value.pk if isinstance(value, Model) else value)
    if 0 < len(text) <= 255 and text.isprintable():
        return text
    return f"sha256 {hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}"


def _at(path: Iterable[str], payload: dict[str, Any], durable: DurableReceiver) -> Any:
    value: Any = payload
    for name in path:
        try:
            value = value[name] if isinstance(value, dict) else getattr(value, name)
        except (KeyError, AttributeError):
            raise LookupError(
                f"Durable(key={durable.policy.key!r}) of {durable.name}: there is no {name!r} in what {durable.signal}"
                " has sent."
            ) from None
        if value is None:
            return None
    return value
