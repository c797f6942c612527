"""Restoring: the text that was stored becomes what the receiver is called with."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Self
from weakref import WeakValueDictionary

from django.db.models.base import ModelBase
from django.utils.functional import SimpleLazyObject

from heliograph.catalogue import CATALOGUE
from heliograph.changes.rows import loaded
from heliograph.dispatch import live_signals
from heliograph.dispatch.connections import is_async
from heliograph.outbox.durable.names import name_of
from heliograph.outbox.durable.registry import DurableReceiver, known
from heliograph.outbox.payload.call_encoding import VERSION
from heliograph.outbox.payload.converting import converted
from heliograph.outbox.payload.stored_events import StoredEvent
from heliograph.outbox.payload.value_decoding import (
    Decoder,
    Reference,
    UnreadableError,
    gone,
    is_row,
    key_of,
    read,
    verified,
)
from heliograph.transactions.batches import Batch, Event

# The instance of a row that a batch refers to, or None if the row is gone.
Find = Callable[[Any, Any], Any]


class MissingError(LookupError):
    """An instance that was sent is gone, or all those of a batch are."""

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """Return the error for one instance."""
        return cls(f"{reference.model._meta.label} {reference.key!r} is gone from the database {reference.using!r}")


def restored(text: str, using: str, durable: DurableReceiver) -> dict[str, Any]:
    """Return the arguments of a stored call: signal, sender and the payload.

    Raises MissingError if an instance is gone, unless `missing="call"`; if the receiver has no parameter for it, the
    error is raised when the instance is used. With `missing="discard"`, a batch leaves out its missing instances.
    Raises UnreadableError for what this release cannot read.
    """
    try:
        return _restored(_parsed(text), using, durable)
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


def _restored(stored: Mapping[str, Any], using: str, durable: DurableReceiver) -> dict[str, Any]:
    load = partial(_load, using, durable.policy.missing == "call")
    decode = Decoder(load, lambda batch: _batch(batch, decode, using, durable), partial(_is_about, durable))
    unasked = replace(decode, load=partial(_load_at_once if is_async(durable.receiver()) else _load_when_used, load))
    signal = None if stored.get("signal") is None else _signal(stored["signal"], durable)
    sent = {
        name: decode(value) if durable.policy.batch or durable.asks_for(name) or not is_row(value) else unasked(value)
        for name, value in stored["kwargs"].items()
    }
    payload = {"signal": signal, "sender": decode(stored.get("sender")), **_with_defaults(signal, sent)}
    return converted(payload, durable, using)


def _is_about(durable: DurableReceiver, model: Any) -> bool:
    """Return whether a signal of the receiver, which may be connected several times, is about a model."""
    return durable.is_about(model) or any(one.is_about(model) for one in known().get(durable.name, ()))


def _load(using: str, is_called: bool, reference: Reference) -> Any:
    alias = reference.using or using
    for instance in reference.model._base_manager.using(alias).filter(pk=reference.key)[:1]:
        return instance
    if is_called:
        return bare(reference.model, reference.key, alias)
    raise MissingError.of(reference._replace(using=alias))


def bare(model: Any, key: Any, using: str) -> Any:
    """Return an instance with its primary key, whose other fields are not loaded."""
    parts = key if isinstance(key, tuple) else (key,)
    return model.from_db(using, [field.attname for field in model._meta.pk_fields], [*parts])


def _load_at_once(load: Callable[[Reference], Any], reference: Reference) -> Any:
    """Return an instance for which an async receiver has no parameter: its code could not load it in the event loop."""
    try:
        return load(reference)
    except MissingError:
        return _load_when_used(load, reference)


def _load_when_used(load: Callable[[Reference], Any], reference: Reference) -> Any:
    """Return an instance for which a receiver has no parameter: it is loaded, or found to be gone, when it is used."""
    instance = SimpleLazyObject(partial(load, reference))
    instance.__dict__[_REFERENCE] = reference
    return instance


_REFERENCE = "_heliograph_reference"


def handled(payload: Mapping[str, Any], using: str) -> Any:
    """Return the instance that a receiver is at work on; with only its primary key if it is not loaded yet."""
    instance = payload["instance"]
    reference = instance.__dict__.get(_REFERENCE) if type(instance) is SimpleLazyObject else None
    return instance if reference is None else bare(reference.model, reference.key, reference.using or using)


# Signals by name, once they were looked for.
_found: WeakValueDictionary[str, Any] = WeakValueDictionary()


def _signal(name: str, durable: DurableReceiver) -> Any:
    """Return the signal with this name; of several, the one that the receiver hears."""
    found = durable.live_signal() if durable.signal == name else _found.get(name)
    if found is None:
        found = _found[name] = _looked_for(name, durable)
    return found


def _looked_for(name: str, durable: DurableReceiver) -> Any:
    """Return a signal that is there already: a name in the table imports nothing."""
    found = next((entry.loaded() for entry in CATALOGUE.values() if entry.path == name), None)
    own = (one.live_signal() for one in known().get(durable.name, ()) if one.signal == name)
    named = (signal for signal in live_signals() if name_of(signal) == name)
    found = found or next(chain(own, named), None)
    if found is None:
        raise UnreadableError(f"There is no signal {name!r}: put it back, or discard the delivery.")
    return found


def _with_defaults(signal: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent, with the defaults of names that the signal has learned since."""
    contract = getattr(signal, "_contract", None)
    parameters = [] if contract is None else contract.parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
    return {**defaults, **kwargs}


# --- batches ----------------------------------------------------------------------------------------------------


def _batch(stored: Any, decode: Decoder, using: str, durable: DurableReceiver) -> Batch:
    _verify_batch(stored)
    commons = [_common(common, decode, durable) for common in stored["commons"]]
    find = _finder(stored, commons, using)
    events = tuple(_events(stored["events"], commons, decode, find, using, missing=durable.policy.missing))
    if not events:
        raise MissingError("All instances of the batch are gone")
    return Batch(events)


def _verify_batch(stored: Any) -> None:
    """Raise UnreadableError for what has not the shape of a batch."""
    verified([stored], dict)
    verified([stored.get("commons"), stored.get("events")], list, list)
    verified(stored["events"], *[list] * len(stored["events"]))
    for event in stored["events"]:
        at, *of_row = [*event, None] if len(event) < 2 else event
        if type(at) is not int or not 0 <= at < len(stored["commons"]) or len(of_row) > 3:
            raise UnreadableError(f"{event!r} is no event of a batch.")
        verified(of_row[1:], *[dict] * len(of_row[1:]))


def _common(common: Any, decode: Decoder, durable: DurableReceiver) -> dict[str, Any]:
    """Return what events of a batch have in common, with its signal and its sender."""
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
    return {**common, "signal": _signal(name, durable), "sender": sender}


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
    events: Sequence[Any], commons: Sequence[Any], decode: Decoder, find: Find, using: str, *, missing: str
) -> Iterator[Event]:
    def found(model: Any, key: Any) -> Any:
        instance = find(model, key)
        return bare(model, key, using) if instance is None and missing == "call" else instance

    for at, *of_one in events:
        try:
            yield _event(commons[at], *of_one, decode=decode, find=found, using=using)
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
        raise MissingError.of(Reference(model, key, using))
    return StoredEvent(*head, {**kwargs, "instance": instance}, key, changes, values, tuple(common["fields"]))
