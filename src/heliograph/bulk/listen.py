"""Listening: how a receiver says that it hears writes which are no saves, and who does."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models.signals import ModelSignal

from heliograph.bulk.m2m_sides import sides_of
from heliograph.catalogue import entry_of, title
from heliograph.changes.tracking import is_historical
from heliograph.conditions import Carried
from heliograph.dispatch import Call, Condition
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connections import Receiver, is_async
from heliograph.dispatch.guarded import SKIPPED, Guarded
from heliograph.dispatch.reentrancy import refuse
from heliograph.dispatch.routes import registering
from heliograph.dispatch.sends import guarded_for
from heliograph.orm.savepoints import of_connections
from heliograph.orm.steps import PatchLease, Step
from heliograph.transactions.batches import RowBatch
from heliograph.transactions.rows_at_work import HandlingRows, not_at_work


class Listening:
    """A place at which somebody listens, for as long as this is referred to."""

    __slots__ = ("__weakref__", "hooks", "place")

    def __init__(self, place: Target) -> None:
        self.place = place
        # The steps that find out about the writes stay in place, and about rollbacks in an operation of a relation.
        is_of_pairs = getattr(entry_of(place.signal), "name", None) == "m2m_changes"
        self.hooks = (_hooks.take(), of_connections.take()) if is_of_pairs else (_hooks.take(),)

    def hears(self, model: Any) -> bool:
        """Return whether writes of this model are heard there; those of a migration or a silent one never are."""
        sender = self.place.sender
        if is_historical(model) or model in _silent:
            return False
        return sender is None or sender is model or (self.place.subclasses and issubclass(model, sender))


def _steps() -> Iterator[Step]:
    from heliograph.bulk.hooks import steps  # which import this module

    return steps()


_hooks = PatchLease(_steps)
_silent: weakref.WeakSet[Any] = weakref.WeakSet()
_places: set[weakref.ref[Listening]] = set()
# What is known of each model, until somebody comes or goes.
_audiences: weakref.WeakKeyDictionary[Any, Audience | None] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Audience:
    """The signals through which the writes of a model are heard."""

    signals: dict[str, Any]  # by their names

    def now(self, model: Any) -> Audience | None:
        """Return those of the signals that somebody hears at this moment: receivers may be muted, or have left."""
        heard = {name: signal for name, signal in self.signals.items() if _is_heard(signal, model)}
        if len(heard) == len(self.signals):
            return self
        return Audience(heard) if heard else None

    def has(self, names: Collection[str]) -> bool:
        """Return whether one of these signals is among them; or whether any is, where none is named."""
        return not names or not self.signals.keys().isdisjoint(names)

    def __contains__(self, name: str) -> bool:
        return name in self.signals

    def reads_all(self, name: str) -> bool:
        """Return whether all values that are written are to be known, since a signal with this name tells them."""
        return name in self or "m2m_changes" in self

    def send(self, name: str, sender: Any, **payload: Any) -> None:
        """Send one of these signals, if anybody hears it."""
        if name in self.signals:
            self.signals[name].send(sender=sender, **payload)


def silence(model: Any) -> None:
    """Let nobody hear of bulk writes of a model: of a table of our own, which hearing of them would write again."""
    _silent.add(model)


def listen(place: Target) -> Listening:
    """Listen at a place, for as long as what is returned is referred to."""
    listening = Listening(place)
    with registering:
        _places.add(weakref.ref(listening, _left))
        _audiences.clear()
    return listening


def _left(reference: weakref.ref[Listening]) -> None:
    # Garbage collection calls this: it waits for nobody.
    _places.discard(reference)
    _audiences.clear()


def audience_of(model: Any, *names: str) -> Audience | None:
    """Return who hears of the writes of a model, or None if nobody does, or not through a signal of these names."""
    try:
        audience = _audiences[model]
    except KeyError:
        audience = _found(model)
    # Not all at once: most of what is written is heard by nobody, and is to take no time for that.
    if audience is None or not audience.has(names):
        return None
    audience = audience.now(model)
    return audience if audience is not None and audience.has(names) else None


def _is_heard(signal: Any, model: Any) -> bool:
    if isinstance(signal, ModelSignal):  # of whose receivers not all hear bulk writes
        return bool(listeners(signal, model))
    return bool(signal.has_listeners(model))


def listeners(signal: Any, model: Any) -> list[Guarded]:
    """Return the receivers of one of Django's signals that hear bulk writes."""
    return [one for one in guarded_for(signal, model) if one.when is not None and hears_bulk(one.when)]


def _found(model: Any) -> Audience | None:
    """Return who listens to a model, and remember it."""
    places = _places.copy()
    heard = {one.place.signal for one in _alive(places) if one.hears(model)}
    signals = {entry_of(signal).name: signal for signal in heard}  # type: ignore[union-attr]  # all are in it
    if "m2m_changes" in signals and not sides_of(model):
        del signals["m2m_changes"]
    audience = Audience(signals) if signals else None
    if places == _places:  # otherwise somebody has come or gone meanwhile
        _audiences[model] = audience
    return audience


def _alive(places: set[weakref.ref[Listening]]) -> Iterator[Listening]:
    return (listening for place in places if (listening := place()) is not None)


# --- how receivers ask for it -------------------------------------------------------------------------------------

SIGNALS = ("pre_save", "post_save", "pre_delete", "post_delete")


@dataclass(frozen=True, repr=False)
class Bulk(Carried):
    """The condition of receivers that hear bulk writes too: it always holds, and is how they are found."""

    listening: Listening | None = field(default=None, compare=False)

    def holds(self, payload: Any) -> bool:
        return True

    def connected(self, place: Target) -> Condition:
        """Return the condition there, which keeps bulk writes heard for as long as the receiver is connected."""
        entry = entry_of(place.signal)
        if entry is None or entry.name not in SIGNALS:
            raise TypeError(f"bulk=True works on {', '.join(SIGNALS)}, not on {title(place.signal)}. Leave it out.")
        return Bulk(listen(place))

    def asks_for(self) -> tuple[str, ...]:
        return ("using",)

    def __repr__(self) -> str:
        return "bulk=True"


def hears_bulk(when: Condition) -> bool:
    """Return whether a condition is that of a receiver which hears bulk writes."""
    return any(isinstance(leaf, Bulk) for leaf in when.leaves())


@dataclass(frozen=True, repr=False)
class Recorded:
    """The calls of a receiver of deletions in a batch: while it is connected, the rows of deletions are recorded."""

    listening: Listening
    inner: Callable[[Receiver, dict[str, Any]], Call] = Call

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> Call:
        return self.inner(receiver, payload)

    def __repr__(self) -> str:
        return "" if self.inner is Call else repr(self.inner)


@dataclass(frozen=True, repr=False)
class Attentive:
    """How calls of a receiver are made that makes a write signal be sent for as long as it is connected."""

    listening: Listening
    reentrant: str

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> Call:
        batch = payload.get("batch")
        if self.reentrant == "allow" or not isinstance(batch, RowBatch):
            return Call(receiver, payload)
        return BatchCall(receiver, payload, batch, self.reentrant)

    def __repr__(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class BatchCall(Call):
    """The call of a receiver of a write signal that is not called again for the rows that it is handling."""

    batch: RowBatch
    reentrant: str

    def make(self) -> Any:
        """Call the receiver with the rows that it is not at work on."""
        writes = [not_at_work(self.receiver, told.rows) for told in self.batch.events.writes]
        batch = self.batch.only(writes)
        if len(batch.events) < len(self.batch.events):
            if self.reentrant == "raise":
                refuse(self.receiver, {"instance": self.batch.events[0].instance})
            if not batch.events and not batch.unknown:
                return SKIPPED
        call, handling = replace(self, payload={**self.payload, "batch": batch}), HandlingRows(self.receiver, writes)
        if is_async(self.receiver):
            return _awaited(call, handling)
        with handling:
            return Call.make(call)


async def _awaited(call: Call, handling: HandlingRows) -> Any:
    with handling:
        return await Call.make(call)
