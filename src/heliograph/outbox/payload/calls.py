"""A call becomes the text of a delivery, and the text becomes the arguments for the receiver."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import Any

from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import ModelSignal, post_delete, post_save, pre_delete, pre_save

from heliograph.bulk.signals import pre_update
from heliograph.catalogue import entry_of
from heliograph.context.kept_context import EMPTY, Context
from heliograph.dispatch import Call
from heliograph.dispatch.identity import is_async
from heliograph.outbox.durable.registry import DurableReceiver, known
from heliograph.outbox.payload.converting import converted
from heliograph.outbox.payload.errors import UnreadableError
from heliograph.outbox.payload.field_values import changes_of_model, encoded_changes, encoded_gone, encoded_values
from heliograph.outbox.payload.instances import loading, loading_unasked
from heliograph.outbox.payload.kinds import KIND, VALUE
from heliograph.outbox.payload.named_signals import signal_named
from heliograph.outbox.payload.secrecy import OF_THE_PROCESS
from heliograph.outbox.payload.stored_batches import as_json, batch_of, encoded_batch
from heliograph.outbox.payload.value_decoding import Decoder, is_row, read, verified
from heliograph.outbox.payload.value_encoding import PLAIN, encoded_as, row
from heliograph.sensitive_names import sensitive_among
from heliograph.transactions.batches import Batch

# The version of the format. A payload of a later version is an UnreadableError.
VERSION = 1


# --- storing ----------------------------------------------------------------------------------------------------


def text_of(call: Call, durable: DurableReceiver, using: str, key: Any = None) -> str:
    """Return the text of a call; UnstorableError names the value that cannot be stored.

    `key` is the primary key that the instance had when it was sent.
    """
    payload, signal, sender = call.payload, call.payload["signal"], call.payload["sender"]
    # The label of the model that the receiver is connected to is known.
    own = None if sender is None else {KIND: "model", VALUE: durable.sender}
    return as_json(
        {
            "v": VERSION,
            "signal": None if signal is None else durable.signal,
            "sender": own if sender is durable.model else encoded_as("sender", sender),
            "kwargs": _kwargs(durable, using, payload, signal, key),
        }
    )


def _kwargs(durable: DurableReceiver, using: str, payload: Mapping[str, Any], signal: Any, key: Any) -> dict[str, Any]:
    is_of_model = isinstance(signal, ModelSignal)
    sensitive = frozenset[str]() if is_of_model else sensitive_among(payload.keys())
    return {
        name: value if type(value) in PLAIN else _value(durable, using, payload, signal, key, name)
        for name, value in payload.items()
        if name not in _OF_EVERY_CALL
        if name not in sensitive and (name not in _LEFT_OUT or not _is_left_out(name, signal, durable))
    }


# The names that are stored beside the others.
_OF_EVERY_CALL = frozenset(("signal", "sender"))

# The names that are left out unless the receiver has such a parameter.
_LEFT_OUT = OF_THE_PROCESS | {"origin"}


def _is_left_out(name: str, signal: Any, durable: DurableReceiver) -> bool:
    entry = entry_of(signal)
    if entry is None or name not in entry.carries:
        return False
    return not durable.has_parameter(name)


def _value(durable: DurableReceiver, using: str, payload: Mapping[str, Any], signal: Any, key: Any, name: str) -> Any:
    """Return the JSON of one value of a payload."""
    value, is_of_model = payload[name], isinstance(signal, ModelSignal)
    if isinstance(value, Batch):
        return encoded_batch(value, partial(_kwargs, durable, using))
    if name == "changes" and is_of_model:
        return encoded_changes(payload["instance"].__class__, value)
    if signal is pre_update and name == "values":
        return encoded_values(payload["sender"], value)
    if (signal is post_delete or signal is pre_delete) and isinstance(value, Model):
        return encoded_gone(value, using)
    if name == "instance" and is_of_model and key is not None:
        return row(type(value), key, using, durable.sender if type(value) is durable.model else None)
    return encoded_as(name, value)


def is_lasting(payload: Mapping[str, Any]) -> bool:
    """Return whether the text of a payload stays the same while its values are the same objects, with the same key."""
    is_of_save = payload["signal"] is post_save or payload["signal"] is pre_save
    return is_of_save and all(name in _BY_NAME or type(payload[name]) in _IMMUTABLE for name in payload)


_BY_NAME = frozenset(("signal", "sender", "instance"))  # stored as references
_IMMUTABLE = frozenset((bool, str, type(None), frozenset))


# --- reading ----------------------------------------------------------------------------------------------------


def restored(
    text: str, using: str, durable: DurableReceiver, contexts: Iterable[Context] = repeat(EMPTY)
) -> dict[str, Any]:
    """Return the arguments of a stored call: signal, sender and the payload, whose events have these contexts.

    Raises MissingError if an instance is gone, unless `missing="call"`; if the receiver has no parameter for it, the
    error is raised when the instance is used. With `missing="discard"`, a batch leaves out its missing instances.
    Raises UnreadableError for what this release cannot read.
    """
    try:
        return _restored(_parsed(text), using, durable, contexts)
    except RecursionError:
        raise UnreadableError("The payload has too much within one another.") from None


def _parsed(text: str) -> dict[str, Any]:
    stored = read("The payload", json.loads, text)
    verified([stored], dict)
    version = stored.get("v")
    if type(version) is not int or version > VERSION:
        raise UnreadableError(f"The payload is of version {version!r}, and this Heliograph knows {VERSION}: update it.")
    verified([stored.get("signal"), stored.get("kwargs")], str | None, dict)
    return stored  # type: ignore[no-any-return]  # as verified


def _restored(
    stored: Mapping[str, Any], using: str, durable: DurableReceiver, contexts: Iterable[Context]
) -> dict[str, Any]:
    load = loading(using, is_called=durable.policy.missing == "call")
    decode = Decoder(load, lambda batch: batch_of(batch, decode, using, durable, contexts), partial(_is_about, durable))
    unasked = replace(decode, load=loading_unasked(load, is_async=is_async(durable.receiver())))
    signal = None if stored.get("signal") is None else signal_named(stored["signal"], durable)
    sent = {
        name: decode(value) if durable.policy.batch or durable.asks_for(name) or not is_row(value) else unasked(value)
        for name, value in stored["kwargs"].items()
    }
    payload = {"signal": signal, "sender": decode(stored.get("sender")), **_with_defaults(signal, sent)}
    if isinstance(payload["sender"], ModelBase) and isinstance(payload.get("changes"), dict):
        payload["changes"] = changes_of_model(payload["sender"], payload["changes"])
    return converted(payload, durable, using)


def _is_about(durable: DurableReceiver, model: Any) -> bool:
    """Return whether a signal of the receiver, which may be connected several times, is about a model."""
    return durable.is_about(model) or any(one.is_about(model) for one in known().get(durable.name, ()))


def _with_defaults(signal: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload, with the defaults of names that the contract of the signal has got since."""
    contract = getattr(signal, "_contract", None)
    parameters = [] if contract is None else contract.parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
    return {**defaults, **kwargs}
