"""Events: frozen facts about sends and calls, for observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.dispatch.any_signal import AnySignal


class ObservedEvent:
    """The base class of events, such as `Sent` here and `DeliveryEvent` of the outbox."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Sent(ObservedEvent):
    """A send has begun; `parent` is the number of the call it was made in, if any."""

    signal: AnySignal
    sender: Any
    kwargs: Mapping[str, Any]
    number: int
    parent: int | None


@dataclass(frozen=True, slots=True)
class Called(ObservedEvent):
    """A receiver was called; `parent` is the number of its send, `outcome` the response or the exception.

    One that is called later than its send has no parent if nobody watched the send.
    """

    signal: AnySignal
    sender: Any
    receiver: Callable[..., Any]
    seconds: float
    outcome: Any
    number: int
    parent: int | None


@dataclass(frozen=True, slots=True)
class Calling:
    """A receiver is about to be called; `number` is the number that its `Called` event will have."""

    signal: AnySignal
    sender: Any
    receiver: Callable[..., Any]
    number: int
    parent: int | None
