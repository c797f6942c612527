"""The events that observers get of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from heliograph.context.kept_context import Context
from heliograph.dispatch import ObservedEvent
from heliograph.outbox.delivery_rows import Claim, DeliveryRow

Name = Literal[
    "delivery_started",
    "delivery_slow",
    "delivery_finished",
    "delivery_failed",
    "delivery_dead",
    "delivery_snoozed",
    "delivery_handed_back",
]


@dataclass(frozen=True, slots=True)
class DeliveryEvent(ObservedEvent):
    """An attempt of a delivery has begun, has ended or is slow; observers get it after the table says so. Frozen.

    - `name`: "delivery_started"; "delivery_slow", which another thread reports; "delivery_finished", also of a
      discarded delivery; "delivery_failed", after which there is another attempt; "delivery_dead", after which there is
      none; "delivery_snoozed", if the receiver has asked to be called later; or "delivery_handed_back", if the delivery
      waits for a worker that can read it.
    - `id`: the number of the delivery.
    - `receiver`: the module and the name of the receiver.
    - `queue`: the name of the queue.
    - `attempt`: 1 for the first attempt.
    - `seconds`: how long the attempt took, or has taken so far if it is slow; None at the start, and for a lost worker.
    - `error`: the error of the attempt, or None.
    """

    name: Name
    id: int
    receiver: str  # its module and name
    queue: str
    attempt: int  # 1 for the first
    seconds: float | None = None  # how long the attempt took, once it has ended; of a slow one, so far
    error: BaseException | None = None


class _Delivering(NamedTuple):
    claim: Claim
    context: Context  # of the attempt; its `parent` is the traceparent of the send
    number: int
    parent: int | None


class Delivering(ObservedEvent, _Delivering):
    """An attempt has begun: the call of the receiver, and all that it causes, is inside of it until its `Ended`."""

    __slots__ = ()


class _EnqueuedRows(NamedTuple):
    using: str  # the alias of the database
    rows: Sequence[DeliveryRow]


class EnqueuedRows(ObservedEvent, _EnqueuedRows):
    """Deliveries were written in the transaction that is open; they are there for workers after its commit."""

    __slots__ = ()
