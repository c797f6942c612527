"""Payloads: what was sent, as the text that is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from django.db.models import Model
from django.db.models.signals import ModelSignal, post_delete, post_save, pre_delete, pre_save

from heliograph.bulk.signals import pre_update
from heliograph.catalogue import entry_of
from heliograph.changes.presenting import columns_of
from heliograph.changes.tracking import ALL
from heliograph.changes.values import UNKNOWN, is_expression
from heliograph.dispatch import Call
from heliograph.dispatch.verification import parameters_of
from heliograph.outbox.durable.names import name_of
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.payload.secrecy import OF_THE_PROCESS, is_secret, is_sensitive
from heliograph.outbox.payload.value_encoding import UnstorableError, encoded, label_of, row, tagged
from heliograph.transactions.batches import Batch, Event

# What a payload looks like; whoever reads one of a later version says so.
VERSION = 1

# What is left out unless the receiver has a parameter of this name.
_LEFT_OUT = OF_THE_PROCESS | {"origin"}

_as_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def text_of(call: Call, durable: DurableReceiver, using: str, key: Any = None) -> str:
    """Return the text of what was sent; UnstorableError names what cannot be stored.

    `key` is the primary key that the instance had when it was sent.
    """
    return _as_json(
        {
            "v": VERSION,
            "signal": None if call.signal is None else durable.signal,
            "sender": _encoded_as("sender", call.sender),
            "kwargs": _kwargs(call.payload, call.signal, call.receiver, using, key),
        }
    )


def is_lasting(payload: Mapping[str, Any]) -> bool:
    """Return whether the text of a payload is the same for as long as its values, and the key of its row, are."""
    is_of_save = payload["signal"] is post_save or payload["signal"] is pre_save
    return is_of_save and all(name in _BY_NAME or type(payload[name]) in _IMMUTABLE for name in payload)


_BY_NAME = frozenset(("signal", "sender", "instance"))  # which stand for what they refer to
_IMMUTABLE = frozenset((bool, str, type(None), frozenset))


def _batch(batch: Batch, receiver: Any, using: str) -> dict[str, Any]:
    """Return what stands for a batch, in which what its events have in common is there once."""
    commons: dict[str, int] = {}
    events = []
    for event in batch.events:
        common = _as_json(_common(event, receiver, using))
        events.append([commons.setdefault(common, len(commons)), *_of_one(event)])
    return tagged("batch", {"commons": [*map(json.loads, commons)], "events": events})


def _common(event: Event, receiver: Any, using: str) -> dict[str, Any]:
    carried = {name: value for name, value in event.kwargs.items() if name not in ("signal", "sender")}
    if event.kind is not None:
        carried.pop("instance", None)
    return {
        "kind": event.kind,
        "signal": name_of(event.signal),
        "sender": _encoded_as("sender", event.sender),
        "fields": event.fields,
        "kwargs": _kwargs(carried, event.signal, receiver, using, event.pk),
    }


def _of_one(event: Event) -> tuple[Any, ...]:
    """Return the key of an event's row, its changes, and the values that the row had after the transaction.

    For a deleted row they are the values before its deletion.
    """
    if event.kind is None:
        return (None,)
    key = [encoded(part) for part in (event.pk if isinstance(event.pk, tuple) else (event.pk,))]
    changes = _changes(event.sender, event.changes) if event.fields else {}
    if event.kind == "deleted":
        return key, changes, _fields_of(event.instance)
    same = _unchanged(event)
    return (key, changes, same) if same else (key, changes) if changes else (key,)


def _unchanged(event: Event) -> dict[str, Any]:
    """Return the values of fields that the receiver asks for by name and that `changes` does not have.

    They are stored because the row may change before a worker makes the call.
    """
    fields = [] if ALL[0] in event.fields else [event.sender._meta.get_field(name) for name in event.fields]
    values = {one: event.new(one.name) for one in fields if one.name not in event.changes}
    return {one.attname: _of_field(one, value) for one, value in values.items() if value is not UNKNOWN}


# --- the names of a payload -------------------------------------------------------------------------------------


def _kwargs(payload: Mapping[str, Any], signal: Any, receiver: Any, using: str, key: Any) -> dict[str, Any]:
    is_of_model = isinstance(signal, ModelSignal)
    is_deletion = signal is post_delete or signal is pre_delete
    found = {}
    for name, value in payload.items():
        if name in ("signal", "sender") or _is_left_out(name, signal, receiver):
            continue
        if isinstance(value, Batch):
            found[name] = _batch(value, receiver, using)
        elif name == "changes" and is_of_model:
            found[name] = _changes(payload["instance"].__class__, value)
        elif signal is pre_update and name == "values":
            found[name] = _values(payload["sender"], value)
        elif is_deletion and isinstance(value, Model):
            found[name] = _gone(value, using)
        elif name == "instance" and is_of_model and key is not None:
            found[name] = row(type(value), key, using)
        else:
            found[name] = _encoded_as(name, value)
    return found


def _is_left_out(name: str, signal: Any, receiver: Any) -> bool:
    if name not in _LEFT_OUT:
        return is_sensitive(name) and not isinstance(signal, ModelSignal)
    entry = entry_of(signal)
    if entry is None or name not in entry.carries:
        return False
    return all(parameter.name != name for parameter in parameters_of(receiver) or ())


def _encoded_as(name: str, value: Any) -> Any:
    try:
        return encoded(value)
    except UnstorableError as error:
        raise type(error)(f"{name!r}: {error}") from None
    except RecursionError:
        raise UnstorableError(f"{name!r}: it has itself in it, or too much within one another") from None


# --- the fields of a row ----------------------------------------------------------------------------------------


def _changes(model: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    fields = {field.name: field for field in model._meta.concrete_fields}
    return {
        name: tagged("change", [_of_field(fields[name], value) for value in change]) for name, change in changes.items()
    }


def _values(model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for the values that an update() sets, by the names that it was given."""
    fields = {name: field for field in model._meta.concrete_fields for name in (field.name, field.attname)}
    return {name: _of_field(fields.get(name, model._meta.pk), value) for name, value in values.items()}


def _gone(instance: Any, using: str) -> dict[str, Any]:
    """Return what stands for an instance whose row is gone: its fields, but for secrets."""
    return tagged("gone", [label_of(instance.__class__), using, _fields_of(instance)])


def _fields_of(instance: Any) -> dict[str, Any]:
    found = ((field, instance.__dict__[field.attname]) for field in _loaded_fields(instance))
    stored = {field.attname: _of_field(field, value) for field, value in found}
    return {name: value for name, value in stored.items() if value != _UNKNOWN}


def _loaded_fields(instance: Any) -> Iterator[Any]:
    return (field for field in instance._meta.concrete_fields if field.attname in instance.__dict__)


_UNKNOWN = encoded(UNKNOWN)


def _of_field(field: Any, value: Any) -> Any:
    """Return what is stored of the value of a field: nothing of a secret, or of what the database computes."""
    if is_secret(field) or is_expression(value):
        return _UNKNOWN
    try:
        return encoded(value)
    except UnstorableError as error:
        return _as_columns(field, value) or _as_text(field, value, error)


def _as_columns(field: Any, value: Any) -> Any:
    """Return the columns of a value that a field combines from several, such as a price; None for other values."""
    try:
        columns = columns_of(field.model, field, value)
        encoded_columns = {name: encoded(one) for name, one in (columns or {}).items()}
    except Exception:  # a descriptor may raise any error
        return None
    return tagged("columns", [field.model._meta.label, field.name, encoded_columns]) if columns else None


def _as_text(field: Any, value: Any, error: UnstorableError) -> Any:
    """Return the text that a field makes of a value that nobody else knows, as for a fixture."""
    try:
        text = field.value_to_string(SimpleNamespace(**{field.attname: value}))
        field.to_python(text)
        if type(text) is not str:
            raise error
    except Exception:  # whatever a field raises, this is its value that cannot be stored
        raise UnstorableError(f"the field {field.model._meta.label}.{field.name}: {error}") from None
    return tagged("field", [field.model._meta.label, field.name, text])
