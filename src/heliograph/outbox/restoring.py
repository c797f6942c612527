"""Restoring: the text that was stored becomes what the receiver is called with."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self
from weakref import WeakValueDictionary

from django.utils.functional import SimpleLazyObject

from heliograph.changes.comparing import Change
from heliograph.changes.rows import Kind, loaded
from heliograph.changes.values import NO_ROW, UNKNOWN
from heliograph.dispatch import live_signals
from heliograph.dispatch.names import resolved
from heliograph.dispatch.receivers import is_async
from heliograph.outbox.codec import Decoder, Reference, is_row, key_of_parts
from heliograph.outbox.payloads import VERSION
from heliograph.outbox.registry import Post
from heliograph.transactions.batches import Batch, Event

# The instance of a row that a batch refers to, or None if the row is gone.
Find = Callable[[Any, Any], Any]


class MissingError(LookupError):
    """An instance that was sent is gone, or all those of a batch are."""

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """Return the error for one instance."""
        return cls(f"{reference.model._meta.label} {reference.key!r} is gone from the database {reference.using!r}")


def restored(text: str, using: str, post: Post) -> dict[str, Any]:
    """Return the arguments of a stored call: signal, sender and the payload.

    Raises MissingError if an instance is gone, unless `missing="call"`; if the receiver has no parameter for it, the
    error is raised when the instance is used. With `missing="discard"`, a batch leaves out its missing instances.
    Raises LookupError if the signal does not exist any more, and ValueError for a payload of a later version of
    Heliograph.
    """
    stored = json.loads(text)
    if stored["v"] > VERSION:
        raise ValueError(f"The payload is of version {stored['v']}, and this Heliograph knows {VERSION}: update it.")
    load = partial(_load, using, post.policy.missing == "call")
    decode = Decoder(load, lambda batch: _batch(batch, decode, using, post))
    unasked = Decoder(partial(_load_at_once if is_async(post.receiver()) else _load_when_used, load), decode.batch)
    signal = None if stored["signal"] is None else _signal(stored["signal"], post)
    sent = {
        name: decode(value) if post.asks_for(name) or not is_row(value) else unasked(value)
        for name, value in stored["kwargs"].items()
    }
    return {"signal": signal, "sender": decode(stored["sender"]), **_with_defaults(signal, sent)}


def _load(using: str, is_called: bool, reference: Reference) -> Any:
    alias = reference.using or using
    rows = reference.model._base_manager.using(alias).filter(pk=reference.key)[:1]
    for instance in rows:
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


# Signals by name, once they were looked for: to import what is not there takes its time.
_found: WeakValueDictionary[str, Any] = WeakValueDictionary()


def _signal(name: str, post: Post) -> Any:
    """Return the signal with this name; of several, the one that the receiver hears."""
    found = post.heard() if post.signal == name else _found.get(name)
    if found is None:
        found = _found[name] = _looked_for(name)
    return found


def _looked_for(name: str) -> Any:
    found = resolved(name)
    if found is None:
        found = next((signal for signal in live_signals() if signal.name == name), None)
    if found is None:
        raise LookupError(f"There is no signal {name!r} any more: put it back, or discard the delivery.")
    return found


def _with_defaults(signal: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent, with the defaults of names that the signal has learned since."""
    contract = getattr(signal, "_contract", None)
    parameters = [] if contract is None else contract.parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
    return {**defaults, **kwargs}


# --- batches ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StoredEvent(Event):
    """An event that was stored, with its instance as it is now."""

    kind: Kind | None
    signal: Any
    sender: Any
    kwargs: Mapping[str, Any]
    key: Any = None
    stored: Mapping[str, Change] = field(default_factory=dict, repr=False)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of unchanged fields, after the transaction
    fields: tuple[str, ...] = field(default=(), repr=False)
    comparison: None = None

    @property
    def pk(self) -> Any:
        return getattr(self.instance, "pk", None) if self.kind is None else self.key

    @property
    def changes(self) -> Mapping[str, Change]:
        return self.stored if self.fields else super().changes

    def _values(self, name: str) -> Change:
        one = self._field(name)
        value = self.values.get(one.attname, UNKNOWN)
        changed = self.stored.get(one.name)
        if changed is not None:
            return changed
        return Change(NO_ROW if self.kind == "created" else value, NO_ROW if self.kind == "deleted" else value)


def _batch(stored: Mapping[str, Any], decode: Decoder, using: str, post: Post) -> Batch:
    commons = [
        {**common, "signal": _signal(common["signal"], post), "sender": decode(common["sender"])}
        for common in stored["commons"]
    ]
    find = _finder(stored, commons, using)
    events = tuple(_events(stored["events"], commons, decode, find, using, missing=post.policy.missing))
    if not events:
        raise MissingError("All instances of the batch are gone")
    return Batch(events)


def _finder(stored: Mapping[str, Any], commons: Sequence[Any], using: str) -> Find:
    """Load all rows that a batch refers to, with one query for each model."""
    keys: defaultdict[Any, list[Any]] = defaultdict(list)
    for at, parts, *_ in stored["events"]:
        if commons[at]["kind"] in ("created", "updated"):
            keys[commons[at]["sender"]].append(key_of_parts(parts))
    found = {model: loaded(model, using, wanted) for model, wanted in keys.items()}
    return lambda model, key: found[model].get(key)


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


def _event(common: Mapping[str, Any], parts: Any, *more: Any, decode: Decoder, find: Find, using: str) -> StoredEvent:
    kind, model = common["kind"], common["sender"]
    head, kwargs = (kind, common["signal"], model), decode(common["kwargs"])
    if parts is None:
        return StoredEvent(*head, kwargs)
    key, (changes, values) = key_of_parts(parts), map(decode, (*more, {}, {})[:2])
    instance = model.from_db(using, [*values], [*values.values()]) if kind == "deleted" else find(model, key)
    if instance is None:
        raise MissingError.of(Reference(model, key, using))
    return StoredEvent(*head, {**kwargs, "instance": instance}, key, changes, values, tuple(common["fields"]))
