"""Batches: how one is stored, and how the stored one is read.

Events of a batch have much in common. So it is stored as `{"commons": [...], "events": [[0, [17]], [0, [18]]]}`: an
event has the index of its common part, the key of its row, and, as far as it needs them, its changes and its values.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from django.db.models.base import ModelBase

from heliograph.changes.rows import loaded
from heliograph.changes.tracking import ALL
from heliograph.changes.values import UNKNOWN
from heliograph.context.kept_context import EMPTY, Context
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.durable.stored_names import name_of
from heliograph.outbox.payload.errors import MissingError, UnreadableError
from heliograph.outbox.payload.field_values import encoded_changes, encoded_field, encoded_fields, gone
from heliograph.outbox.payload.instances import bare
from heliograph.outbox.payload.kinds import tagged
from heliograph.outbox.payload.named_signals import signal_named
from heliograph.outbox.payload.stored_events import StoredEvent
from heliograph.outbox.payload.value_decoding import Decoder, key_of, read, verified
from heliograph.outbox.payload.value_encoding import encoded, encoded_as
from heliograph.transactions.batches import Batch, Event

# Returns the JSON of the other names of an event, from their values, the signal and the key of its row.
EncodeNames = Callable[[Mapping[str, Any], Any, Any], dict[str, Any]]

# The instance of a row that a batch refers to, or None if the row is gone.
Find = Callable[[Any, Any], Any]

as_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


# --- storing ----------------------------------------------------------------------------------------------------


def encoded_batch(batch: Batch, encode_names: EncodeNames) -> dict[str, Any]:
    """Return the JSON of a batch, which has the common parts of its events once."""
    commons: dict[str, int] = {}
    events = []
    for event in batch.events:
        common = as_json(_common_of(event, encode_names))
        events.append([commons.setdefault(common, len(commons)), *_own_of(event)])
    return tagged("batch", {"commons": [*map(json.loads, commons)], "events": events})


def _common_of(event: Event, encode_names: EncodeNames) -> dict[str, Any]:
    rest = {name: value for name, value in event.kwargs.items() if name not in ("signal", "sender")}
    if event.kind is not None:
        rest.pop("instance", None)
    return {
        "kind": event.kind,
        "signal": name_of(event.signal),
        "sender": encoded_as("sender", event.sender),
        "fields": event.fields,
        "kwargs": encode_names(rest, event.signal, event.pk),
    }


def _own_of(event: Event) -> tuple[Any, ...]:
    """Return the key of an event's row, its changes, and the values that the row had after the transaction.

    For a deleted row they are the values before its deletion.
    """
    if event.kind is None:
        return (None,)
    key = [encoded(part) for part in (event.pk if isinstance(event.pk, tuple) else (event.pk,))]
    changes = encoded_changes(event.sender, event.changes) if event.fields else {}
    if event.kind == "deleted":
        return key, changes, encoded_fields(event.instance)
    same = _unchanged(event)
    return (key, changes, same) if same else (key, changes) if changes else (key,)


def _unchanged(event: Event) -> dict[str, Any]:
    """Return the values of fields that the receiver asks for by name and that `changes` does not have.

    They are stored because the row may change before a worker makes the call.
    """
    fields = [] if ALL[0] in event.fields else [event.sender._meta.get_field(name) for name in event.fields]
    values = {one: event.new(one.name) for one in fields if one.name not in event.changes}
    return {one.attname: encoded_field(one, value) for one, value in values.items() if value is not UNKNOWN}


# --- reading ----------------------------------------------------------------------------------------------------


def batch_of(
    stored: Any, decode: Decoder, using: str, durable: DurableReceiver, contexts: Iterable[Context] = repeat(EMPTY)
) -> Batch:
    """Return the batch that is stored; with `missing="discard"`, without the events whose instances are gone.

    `contexts` has the context of each event, in their order.
    """
    _verify(stored)
    commons = [_common(common, decode, durable) for common in stored["commons"]]
    find = _finder(stored, commons, using)
    sent = zip(stored["events"], contexts, strict=False)
    events = tuple(_events(sent, commons, decode, find, using, missing=durable.policy.missing))
    if not events:
        raise MissingError("All instances of the batch are gone")
    return Batch(events)


def _verify(stored: Any) -> None:
    """Raise UnreadableError for JSON that does not have the shape of a batch."""
    verified([stored], dict)
    verified([stored.get("commons"), stored.get("events")], list, list)
    verified(stored["events"], *[list] * len(stored["events"]))
    for event in stored["events"]:
        at, *of_row = [*event, None] if len(event) < 2 else event
        if type(at) is not int or not 0 <= at < len(stored["commons"]) or len(of_row) > 3:
            raise UnreadableError(f"{event!r} is no event of a batch.")
        verified(of_row[1:], *[dict] * len(of_row[1:]))


def _common(common: Any, decode: Decoder, durable: DurableReceiver) -> dict[str, Any]:
    """Return a common part of events, with its signal and its sender in place of their names."""
    verified([common], dict)
    kind, fields, name = common.get("kind"), common.get("fields"), common.get("signal")
    verified([fields, common.get("kwargs"), name], list, dict, str)
    verified(fields, *[str] * len(fields))
    sender = decode(common.get("sender"))
    is_of_row = kind in ("created", "updated", "deleted")
    if not is_of_row and kind is not None:
        raise UnreadableError(f"{kind!r} is nothing that happens to a row.")
    if is_of_row and not (isinstance(sender, ModelBase) and decode.is_about(sender)):
        raise UnreadableError(f"The receiver's signal is not about {sender!r}.")
    return {**common, "signal": signal_named(name, durable), "sender": sender}


def _finder(stored: Mapping[str, Any], commons: Sequence[Any], using: str) -> Find:
    """Load all rows that a batch refers to, with one query for each model."""
    keys: defaultdict[Any, list[Any]] = defaultdict(list)
    for at, *of_row in stored["events"]:
        if commons[at]["kind"] in ("created", "updated"):
            model = commons[at]["sender"]
            keys[model].append(_key(model, *of_row))
    found = {model: loaded(model, using, wanted) for model, wanted in keys.items()}
    return lambda model, key: found[model].get(key)


def _key(model: Any, parts: Any = None, *more: Any) -> Any:
    return read("The key of a row", key_of, model, parts)


def _events(
    events: Iterable[tuple[Any, Context]],
    commons: Sequence[Any],
    decode: Decoder,
    find: Find,
    using: str,
    *,
    missing: str,
) -> Iterator[Event]:
    def found(model: Any, key: Any) -> Any:
        instance = find(model, key)
        return bare(model, key, using) if instance is None and missing == "call" else instance

    for (at, *of_one), context in events:
        try:
            event = _event(commons[at], *of_one, decode=decode, find=found, using=using)
            yield replace(event, context=context)
        except MissingError:
            if missing != "discard":
                raise


def _event(common: Mapping[str, Any], *of_row: Any, decode: Decoder, find: Find, using: str) -> StoredEvent:
    kind, model = common["kind"], common["sender"]
    head, kwargs = (kind, common["signal"], model), decode(common["kwargs"])
    if kind is None:
        return StoredEvent(*head, kwargs)
    key, (changes, values) = _key(model, *of_row), map(decode, (*of_row[1:], {}, {})[:2])
    instance = read("A row that is gone", gone, model, using, values) if kind == "deleted" else find(model, key)
    if instance is None:
        raise MissingError.of(model, key, using)
    return StoredEvent(*head, {**kwargs, "instance": instance}, key, changes, values, tuple(common["fields"]))
