"""Listening: how a receiver says that it receives writes which are no saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from heliograph.bulk.audience import Listening, ReceivesBulk, add
from heliograph.bulk.patches import of_bulk_writes
from heliograph.catalogue import entry_of, title
from heliograph.dispatch import Call, Condition
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connections import Receiver, is_async
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.reentrancy import refuse
from heliograph.orm.savepoints import of_connections
from heliograph.orm.steps import Hold
from heliograph.transactions.batches import RowBatch
from heliograph.transactions.rows_at_work import HandlingRows, not_at_work


def listen(target: Target) -> Listening:
    """Receive bulk writes at a target, for as long as the result exists."""
    listening = Listening(target, _holds(target))
    add(listening)
    return listening


def _holds(target: Target) -> tuple[Hold, ...]:
    """Return holds on the patches by which bulk writes are known; pairs of a relation also need rollbacks."""
    is_of_pairs = getattr(entry_of(target.signal), "name", None) == "m2m_changes"
    return (of_bulk_writes.take(), of_connections.take()) if is_of_pairs else (of_bulk_writes.take(),)


SIGNALS = ("pre_save", "post_save", "pre_delete", "post_delete")


@dataclass(frozen=True, repr=False)
class Bulk(ReceivesBulk):
    """The condition of receivers with `bulk=True`: it always holds, and says that they receive bulk writes."""

    listening: Listening | None = field(default=None, compare=False)

    def holds(self, payload: Any) -> bool:
        return True

    def connected(self, place: Target) -> Condition:
        """Return the condition at this target: bulk writes are received there while the receiver is connected."""
        entry = entry_of(place.signal)
        if entry is None or entry.name not in SIGNALS:
            raise TypeError(f"bulk=True works on {', '.join(SIGNALS)}, not on {title(place.signal)}. Leave it out.")
        return Bulk(listen(place))

    def asks_for(self) -> tuple[str, ...]:
        return ("using",)

    def __repr__(self) -> str:
        return "bulk=True"


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
        writes = [not_at_work(self.receiver, written.rows) for written in self.batch.events.writes]
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
