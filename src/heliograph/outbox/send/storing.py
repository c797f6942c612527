"""A call gets its row when it is sent, so that what cannot be stored fails there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Model

from heliograph.catalogue import entry_of
from heliograph.context.kept_context import Context
from heliograph.dispatch import Call
from heliograph.dispatch.describe import describe
from heliograph.outbox.delivery_rows import DeliveryRow, options_of
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.durable.stored_names import is_of_app, label_of
from heliograph.outbox.payload.calls import is_lasting, text_of
from heliograph.outbox.payload.errors import UnsavedError, UnstorableError
from heliograph.transactions.collect import Received

# No payload is longer than this, in bytes.
LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredCall(Call):
    """A call whose row is made already, and is written before the commit."""

    durable: DurableReceiver
    row: DeliveryRow
    primary_key: Any  # of the instance when it was sent
    context: Context  # of the send; its text is made when the row is written, since a user may have to be loaded


def stored(call: Any, using: str) -> Any:
    """Return a call with its row; a call of a batch, or one whose instance has no key yet, as it is.

    Returns None if no worker could find the sender, such as a model of a migration. Raises TypeError for what cannot be
    stored, and ValueError for what is too much.
    """
    durable, sender = durable_of(call), call.payload["sender"]
    if sender is not durable.model and not is_of_app(sender) and entry_of(call.payload["signal"]) is not None:
        return None
    if isinstance(call, Received):
        return call
    try:
        return stored_call(call, durable, using, call.context, call.primary_key)
    except UnsavedError:
        return call  # pre_save sends it before the database has given it a key


def durable_of(call: Any) -> DurableReceiver:
    """Return the durable receiver of a call."""
    durable: DurableReceiver = call.deferral.options.find(DurableReceiver)
    return durable


def stored_call(
    call: Call, durable: DurableReceiver, using: str, context: Context, primary_key: Any = None
) -> StoredCall:
    """Return a call with its row; UnsavedError if its instance has no key yet."""
    payload, policy = call.payload, durable.policy
    try:
        text = _text_before(call, durable, using, primary_key) or text_of(call, durable, using, primary_key)
    except UnsavedError:
        raise
    except UnstorableError as error:
        raise refusal(durable, call, error) from None
    if len(text) > LIMIT:  # it is ASCII
        raise _excess(durable, call, len(text))
    sender = durable.sender if payload["sender"] is durable.model else label_of(payload["sender"])
    key = "" if policy.key is None else _key(policy.key, durable, payload)
    columns = [*options_of(policy), durable.name, durable.signal[:255], sender, key, text, ""]
    return StoredCall(call.receiver, payload, durable, DeliveryRow(*columns), primary_key, context)


def _excess(durable: DurableReceiver, call: Call, size: int) -> ValueError:
    return ValueError(
        f"{describe(call.receiver)} was sent too much by {durable.signal}: {size:,} bytes as JSON, and a delivery has"
        f" {LIMIT:,} at most. Send the keys of rows, and read them in the receiver."
    )


def _text_before(call: Call, durable: DurableReceiver, using: str, key: Any) -> str | None:
    """Return the text of the call that was stored just before, if it has the same signal, instance and values.

    Ten receivers of one save have ten deliveries, whose texts are made once.
    """
    entries = connections[using].run_on_commit
    before: Any = entries and getattr(entries[-1][1], "call", None)
    if type(before) is not StoredCall or (before.durable.signal, before.primary_key) != (durable.signal, key):
        return None
    names = call.payload.keys()
    is_same = names == before.payload.keys() and all(call.payload[name] is before.payload[name] for name in names)
    return before.row.payload if is_same and is_lasting(call.payload) else None


def refusal(durable: DurableReceiver, call: Call, error: UnstorableError) -> TypeError:
    """Return the error for a call that cannot be stored."""
    return TypeError(
        f"{durable.signal} has sent {describe(call.receiver)}, which is called by a worker, what cannot be stored:"
        f" {error}. Send values that JSON has, dates, decimals, UUIDs or instances of models."
    )


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
