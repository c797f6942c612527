"""The event that observers get of an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from heliograph.dispatch import ObservedEvent

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
    """An attempt has begun or ended, and the table says so already; or it is slow, which another thread reports.

    "delivery_finished" is also the event of a discarded delivery. After "delivery_failed" there is another attempt,
    after "delivery_dead" there is none. "delivery_snoozed" means that the receiver has asked to be called later.
    "delivery_handed_back" means that it waits for a worker that can read it.
    """

    name: Name
    id: int
    receiver: str  # its module and name
    queue: str
    attempt: int  # 1 for the first
    seconds: float | None = None  # how long the attempt took, once it has ended; of a slow one, so far
    error: BaseException | None = None
