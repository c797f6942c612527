"""Listening: how a receiver says that it receives writes which are no saves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from heliograph.bulk.audience import Listening, ReceivesBulk, begin
from heliograph.bulk.patches import of_bulk_writes, of_questions, of_relations
from heliograph.catalogue import title
from heliograph.dispatch import Call
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.identity import Receiver, is_async
from heliograph.dispatch.options import Fact
from heliograph.dispatch.reentrancy import refuse
from heliograph.orm.savepoints import of_connections
from heliograph.orm.steps import Hold
from heliograph.transactions.batches import RowBatch
from heliograph.transactions.rows_at_work import HandlingRows, not_at_work


def listen(target: Target) -> Listening:
    """Receive bulk writes at a target, for as long as the result exists."""
    return begin(target, _holds(target))


def _holds(target: Target) -> tuple[Hold, ...]:
    """Return holds on the patches by which bulk writes are known; pairs of a relation also need rollbacks."""
    leases = _LEASES.get("" if target.entry is None else target.entry.name, ())
    return of_bulk_writes.take(), *(lease.take() for lease in leases)


# What the receivers of a signal need besides, by its name.
_LEASES = {"m2m_changes": (of_relations, of_connections), "deletion_asked": (of_questions,)}


SIGNALS = ("pre_save", "post_save", "pre_delete", "post_delete")


def receives_bulk(target: Target) -> ReceivesBulk:
    """Return the fact that a receiver with `bulk=True` receives bulk writes at a target.

    Raises TypeError for a signal that does not have this option.
    """
    if target.entry is None or target.entry.name not in SIGNALS:
        raise TypeError(f"bulk=True works on {', '.join(SIGNALS)}, not on {title(target.signal)}. Leave it out.")
    return ReceivesBulk(listen(target))


@dataclass(frozen=True)
class RecordsDeletions(Fact):
    """The fact that a receiver of deletions gets them in a batch, so that the deleted rows are recorded."""

    listening: Listening


@dataclass(frozen=True)
class CausesSends(Fact):
    """The fact that a receiver of a write signal causes the signal to be sent, for as long as it is connected."""

    listening: Listening


@dataclass(frozen=True)
class BatchCalls:
    """Makes the calls of a receiver of a write signal that is not called again for the rows that it is handling."""

    reentrant: str

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> Call:
        batch = payload.get("batch")
        return (
            BatchCall(receiver, payload, batch, self.reentrant)
            if isinstance(batch, RowBatch)
            else Call(receiver, payload)
        )


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
