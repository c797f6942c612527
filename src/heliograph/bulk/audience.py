"""The audience of a model: the signals through which somebody receives its bulk writes."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models.signals import ModelSignal

from heliograph.bulk.m2m_sides import sides_of
from heliograph.catalogue import entry_of
from heliograph.changes.tracking import is_historical
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.guarded import Guarded
from heliograph.dispatch.options import Fact
from heliograph.dispatch.routes import registering
from heliograph.dispatch.sends import guarded_for
from heliograph.orm.steps import Hold
from heliograph.transactions.before_write import BeforeWrite, receivers_before


class Listening:
    """The fact that somebody receives bulk writes at a target, for as long as this object exists."""

    __slots__ = ("__weakref__", "holds", "target")

    def __init__(self, target: Target, holds: tuple[Hold, ...]) -> None:
        self.target = target
        self.holds = holds  # on the patches by which bulk writes are known

    def receives(self, model: Any) -> bool:
        """Return whether writes of this model are received here; nobody receives the writes of a migration."""
        sender = self.target.sender
        if is_historical(model) or model in _silent:
            return False
        return sender is None or sender is model or (self.target.subclasses and issubclass(model, sender))


_silent: weakref.WeakSet[Any] = weakref.WeakSet()
_listenings: set[weakref.ref[Listening]] = set()
# The audience of each model, until a listening is added or ends.
_audiences: weakref.WeakKeyDictionary[Any, Audience | None] = weakref.WeakKeyDictionary()


def begin(target: Target, holds: tuple[Hold, ...]) -> Listening:
    """Return a listening at a target that counts from now on, until it is garbage collected."""
    listening = Listening(target, holds)
    with registering:
        _listenings.add(weakref.ref(listening, _left))
        _audiences.clear()
    return listening


def _left(reference: weakref.ref[Listening]) -> None:
    # Garbage collection calls this function, so it waits for no lock.
    _listenings.discard(reference)
    _audiences.clear()


def silence(model: Any) -> None:
    """Let nobody receive the bulk writes of a model: a receiver of all models would write its table again."""
    _silent.add(model)


BEFORE_WRITE = "before_write"


@dataclass(frozen=True)
class Audience:
    """The signals through which somebody receives the writes of a model."""

    # By name. BEFORE_WRITE stands for the receivers of pre_save that are called before the statements of a write.
    signals: dict[str, Any]
    # The receivers with `bulk=True`, by the name of their signal. Weak, since the traceback of an error may keep this.
    receivers: dict[str, list[weakref.ref[Guarded]]] = field(default_factory=dict)

    def reads_all(self, name: str) -> bool:
        """Return whether all written values must be known, because a receiver gets them by the signal of this name."""
        return name in self.signals or "m2m_changes" in self.signals

    def send(self, name: str, sender: Any, **payload: Any) -> None:
        """Send the signal of this name, if anybody receives it."""
        if name in self.signals:
            self.signals[name].send(sender=sender, **payload)


def audience_of(model: Any, *names: str) -> Audience | None:
    """Return the audience of a model; None if nobody receives its writes, or nobody by a signal of these names."""
    try:
        audience = _audiences[model]
    except KeyError:
        audience = _found(model)
    # Most writes have no audience, and must not pay for the question who receives them at this moment.
    if audience is None or (names and audience.signals.keys().isdisjoint(names)):
        return None
    now = _now(audience, model)
    return None if not now.signals or (names and now.signals.keys().isdisjoint(names)) else now


def _now(audience: Audience, model: Any) -> Audience:
    """Return the part of an audience that is there at this moment: receivers may be muted, or have left."""
    now = Audience({}, {})
    for name, signal in audience.signals.items():
        if name == BEFORE_WRITE:
            is_received = bool(bulk_receivers_before(model))
        elif isinstance(signal, ModelSignal):  # not all of its receivers receive bulk writes
            receivers = now.receivers[name] = [*map(weakref.ref, bulk_receivers(signal, model))]
            is_received = bool(receivers)
        else:
            is_received = signal.has_listeners(model)
        if is_received:
            now.signals[name] = signal
    return now


def _found(model: Any) -> Audience | None:
    """Find the audience of a model, and remember it."""
    references = _listenings.copy()
    received = {one.target.signal for one in _alive(references) if one.receives(model)}
    signals = {entry_of(signal).name: signal for signal in received}  # type: ignore[union-attr]  # all are in it
    if "pre_save" in signals:
        signals[BEFORE_WRITE] = signals["pre_save"]
    if "m2m_changes" in signals and not sides_of(model):
        del signals["m2m_changes"]
    audience = Audience(signals) if signals else None
    if references == _listenings:  # otherwise a listening was added or has ended meanwhile
        _audiences[model] = audience
    return audience


def _alive(references: set[weakref.ref[Listening]]) -> Iterator[Listening]:
    return (listening for reference in references if (listening := reference()) is not None)


# --- receivers with bulk=True -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReceivesBulk(Fact):
    """The fact that a receiver receives bulk writes too: it was connected with `bulk=True`."""

    listening: Listening

    def written(self) -> Mapping[str, Any]:
        return {"bulk": True}


def bulk_receivers(signal: Any, model: Any) -> list[Guarded]:
    """Return the receivers of one of Django's signals that receive bulk writes when the signal is sent."""
    found = [one for one in guarded_for(signal, model) if not isinstance(one.options.delivery, BeforeWrite)]
    return [one for one in found if _receives_bulk(one)]


def bulk_receivers_before(model: Any) -> list[Guarded]:
    """Return the receivers that are called before the statements of a bulk write."""
    return [one for one in receivers_before(model) if _receives_bulk(one)]


def _receives_bulk(one: Guarded) -> bool:
    return any(type(fact) is ReceivesBulk for fact in one.options.facts)
