"""Why a receiver was not called: its condition, a mute, a policy that makes the call later, or no send at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from heliograph.catalogue import title
from heliograph.dispatch import Called, PutOff, Skipped, live_signals
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.inspection import connections_of
from heliograph.flow.tree_text import sender_name
from heliograph.outbox.durable.durable_options import DurableOptions
from heliograph.outbox.events import DeliveryEvent
from heliograph.testing.kept_events import KeptEvents
from heliograph.testing.matching import lines_of, text_of

Receiver = Callable[..., Any]


def reasons(kept: KeptEvents, receiver: Receiver) -> list[str]:
    """Return a line for each send that has not called a receiver; if there was none, what it is connected to."""
    lines = [*_skipped(kept, receiver), *_put_off(kept, receiver), *_attempts(kept, receiver)]
    if lines or kept.calls_of(receiver):
        return lines_of(lines)
    return lines_of([*_without_send(receiver)])


def _skipped(kept: KeptEvents, receiver: Receiver) -> Iterator[str]:
    for one in kept.of(Skipped):
        if one.receiver == receiver:
            yield f"for {title(one.signal)} from {sender_name(one.sender)}: {one.reason}"


def _put_off(kept: KeptEvents, receiver: Receiver) -> Iterator[str]:
    """Yield a line for each call that waits for the end of its transaction, or for a worker."""
    calls = kept.calls_of(receiver)
    waiting = [one for one in kept.of(PutOff) if one.receiver == receiver and not _is_made(one, calls)]
    begun = len({one.id for one in _deliveries(kept, receiver)})  # nothing says which of the stored calls these are
    for one in waiting[begun:]:
        yield f"for {title(one.signal)} from {sender_name(one.sender)}: {_waiting(one.policy)}"


def _is_made(put_off: PutOff, calls: Sequence[Called]) -> bool:
    """Return whether a call was made since; the call with a batch knows the first of its sends only."""
    is_of_batch = getattr(put_off.policy, "batch", False)
    return any(one.parent == put_off.number or (is_of_batch and one.number > put_off.number) for one in calls)


def _waiting(policy: Any) -> str:
    if isinstance(policy, DurableOptions):
        return f"stored by {policy!r}, unless its transaction is rolled back; drain() makes the call"
    return f"put off by {policy!r}: its transaction has not ended that way"


def _attempts(kept: KeptEvents, receiver: Receiver) -> Iterator[str]:
    """Yield a line for each attempt of a delivery that has failed, or has ended without a call."""
    is_called = bool(kept.calls_of(receiver))
    for one in _deliveries(kept, receiver):
        if one.error is not None:
            yield f"attempt {one.attempt} of delivery {one.id} has failed: {text_of(one.error)}"
        elif one.name == "delivery_finished" and not is_called:
            yield f"delivery {one.id} was discarded: its error in the table says why"


def _deliveries(kept: KeptEvents, receiver: Receiver) -> list[DeliveryEvent]:
    return [one for one in kept.of(DeliveryEvent) if one.receiver == full_name(receiver)]


def _without_send(receiver: Receiver) -> Iterator[str]:
    connected = [(one, to) for one in live_signals() for to in connections_of(one) if to.receiver() == receiver]
    for signal, connection in connected:
        sender = "" if connection.sender is None else f" from {sender_name(connection.sender)}"
        yield f"{title(signal)} was not sent{sender}"
    if not connected:
        yield "it is connected to no signal"
