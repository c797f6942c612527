"""Assertions about the table of the outbox: which calls wait there for a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from heliograph.dispatch.describe import full_name
from heliograph.outbox.durable import registry
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.models import UNFINISHED, Delivery
from heliograph.outbox.payload.calls import restored
from heliograph.outbox.payload.errors import MissingError, UnreadableError
from heliograph.testing.counted import section, verify_count, verify_none
from heliograph.testing.matching import Found, Wanted, nearest_first
from heliograph.testing.verified_arguments import verify_receiver

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

Receiver = Callable[..., Any]


@dataclass(frozen=True)
class Enqueued:
    """A call that waits in the table for a worker, as `Outbox.enqueued()` finds it; `delivery` is its row."""

    delivery: Delivery
    durable: DurableReceiver | None  # None for a receiver that is not connected here

    @property
    def receiver(self) -> Receiver | None:
        """The receiver; None if it is not connected in this process."""
        found: Receiver | None = None if self.durable is None else self.durable.receiver()
        return found

    @property
    def queue(self) -> str:
        """The name of the queue from which a worker takes the call."""
        return str(self.delivery.queue)

    @property
    def key(self) -> str:
        """The text of the key; "" for none."""
        return str(self.delivery.key)

    @property
    def payload(self) -> Mapping[str, Any]:
        """The values that a worker would call the receiver with, by their names.

        It is empty if they cannot be read, or if the receiver is not known.
        """
        if self.durable is None:
            return {}
        try:
            return restored(self.delivery.payload, self.using, self.durable)
        except (MissingError, UnreadableError):
            return {}

    @property
    def using(self) -> str:
        """The alias of the database that has the delivery."""
        return self.delivery._state.db or DEFAULT_DB_ALIAS


def enqueued(using: str, receiver: Receiver | None = None) -> list[Enqueued]:
    """Return the calls that wait in the table, or are being made, in the order of their sends."""
    if receiver is not None:
        verify_receiver(receiver, "enqueued()")
    known = registry.known()
    rows = Delivery.objects.using(using).filter(state__in=UNFINISHED).order_by("pk")
    found = [Enqueued(row, _durable(known, row)) for row in rows]
    return found if receiver is None else [one for one in found if one.receiver == receiver]


def assert_enqueued(using: str, receiver: Receiver, wanted: Wanted, times: int | None) -> Enqueued:
    """Return the first waiting call of a receiver with the wanted values; AssertionError lists the calls that wait."""
    verify_receiver(receiver, "assert_enqueued()")
    waiting = enqueued(using)
    of_receiver = [one for one in waiting if one.receiver == receiver]
    matching = [one for one in of_receiver if wanted.matches(_found_in(one))]
    listing = chain(_listing(of_receiver or waiting, wanted), _not_durable(receiver))
    verify_count(full_name(receiver), "enqueued", wanted, len(matching), times, listing)
    return matching[0]


def assert_not_enqueued(using: str, receiver: Receiver, wanted: Wanted) -> None:
    """Raise AssertionError, which lists the calls, if a call of a receiver with the unwanted values waits."""
    verify_receiver(receiver, "assert_not_enqueued()")
    found = [_found_in(one) for one in enqueued(using, receiver)]
    verify_none(full_name(receiver), "enqueued", wanted, [one for one in found if wanted.matches(one)])


def _durable(known: Mapping[str, Sequence[DurableReceiver]], row: Delivery) -> DurableReceiver | None:
    receivers = known.get(row.receiver)
    return None if receivers is None else registry.chosen(receivers, row.signal, row.sender)


def _found_in(one: Enqueued) -> Found:
    payload = {**one.payload, "queue": one.queue, "key": one.key}
    return Found(one.delivery.receiver, payload.get("sender"), payload)


def _not_durable(receiver: Receiver) -> Iterator[str]:
    """Yield a line about a receiver whose calls are never enqueued."""
    if not any(durable.receiver() == receiver for receivers in registry.known().values() for durable in receivers):
        yield "It is not connected with delivery=Durable() here."


def _listing(waiting: Sequence[Enqueued], wanted: Wanted) -> Iterator[str]:
    """Yield lines about calls that wait."""
    lines = nearest_first(map(_found_in, waiting), wanted)
    yield from section("These calls wait, the nearest first:", lines) or ["No call waits in the table."]
