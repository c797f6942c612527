"""Inline batches: one call of a receiver for each write, before the method that writes returns."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any, ClassVar

from asgiref.sync import async_to_sync
from django.db.models.signals import post_delete, post_save

from heliograph.catalogue import title
from heliograph.dispatch import Call, Inline
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.describe import describe
from heliograph.dispatch.identity import Receiver, object_identity
from heliograph.dispatch.options import Fact, Options
from heliograph.transactions import schemas
from heliograph.transactions.autocommit_save import OncePerSave
from heliograph.transactions.batch_receivers import OF_A_BATCH, verify_batch
from heliograph.transactions.collect import BatchDeferral, Received, ReceivedRows
from heliograph.transactions.ending import holds_on_end
from heliograph.transactions.late_calls import Awaiting, awaited
from heliograph.transactions.net import together
from heliograph.transactions.pending import Stage, Staged

# The signals that are sent after a write; the signals of bulk writes are left out, since they send a batch anyway.
_SIGNALS = ("post_save", "post_delete", "m2m_changes")


@dataclass(frozen=True, slots=True, repr=False)
class InlineBatch(Inline, Staged):
    """`Inline(batch=True)` on a signal of a model; in autocommit, the call is in the transaction of the save."""

    stage: ClassVar[Stage] = Stage.AFTER_WRITE

    def connected(self, options: Options, receiver: Receiver, target: Target) -> Options:
        """Return options with which the receiver is called once for each write."""
        _verify(self, receiver, target)
        options = options.with_facts(*_facts(target))
        call = BatchDeferral(options, together, object_identity(receiver))
        return replace(options, call=call, gives=OF_A_BATCH, blocking=True, defers=True, asks_batch=True)

    def deliver(self, call: Call) -> Any:
        """Make the call now; or at the end of the write, if it is about a part of a write that is not done."""
        write = _write.get()
        if write is None or not isinstance(call, Received) or not write.contains(call):
            return made(call)
        write.calls.setdefault(call.group, []).append(call)
        return None


def _facts(target: Target) -> Iterator[Fact]:
    """Yield the facts of a receiver; a save in autocommit calls it before Django sends post_save."""
    if target.signal is post_save:
        yield Awaiting((*holds_on_end(target), *schemas.watching()))
        yield OncePerSave()
    else:
        yield Awaiting(schemas.watching())


def with_batches(options: Options) -> Options:
    """Return the options of a receiver of a model signal, with `InlineBatch` in place of `Inline(batch=True)`."""
    delivery = options.delivery
    is_batch = isinstance(delivery, Inline) and delivery.batch
    return replace(options, delivery=InlineBatch(batch=True)) if is_batch else options


# --- writes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Write:
    """A write of many rows that is not done: the calls of inline batches wait for its end."""

    is_deletion: bool
    calls: dict[Hashable, list[Received]] = field(default_factory=dict)

    def contains(self, call: Received) -> bool:
        """Return whether a send is about rows of this write, and not about a row that a receiver saves meanwhile."""
        return isinstance(call, ReceivedRows) or (self.is_deletion and call.signal is post_delete)


_write: ContextVar[Write | None] = ContextVar("heliograph_write", default=None)


@contextmanager
def as_one_write(*, is_deletion: bool = False) -> Iterator[None]:
    """Call each receiver of inline batches once, at the end of the block, for all rows that the block writes."""
    write = Write(is_deletion)
    token = _write.set(write)
    try:
        yield
    finally:
        _write.reset(token)
    for calls in write.calls.values():
        made(together(calls))


def made(call: Call) -> Any:
    """Make a call now, also of an async receiver, and return its response."""
    response = call.make()
    return async_to_sync(awaited)(response) if isawaitable(response) else response


# --- mistakes ---------------------------------------------------------------------------------------------------


def _verify(policy: Inline, receiver: Receiver, target: Target) -> None:
    """Raise TypeError for a signal that is not sent after a write, or a receiver that does not take a batch."""
    if "batch" in (target.carries or ()):
        raise TypeError(
            f"{describe(receiver)}: {title(target.signal)} sends a batch of its own, of one write."
            " Leave batch=True out."
        )
    if target.entry is None or target.entry.name not in _SIGNALS:
        raise TypeError(
            f"{describe(receiver)}: delivery={policy!r} is one call for each write, and {title(target.signal)} is not"
            f" sent after one. It works on {', '.join(_SIGNALS)}. Leave batch=True out, or take OnCommit(batch=True)."
        )
    verify_batch(policy, receiver, OF_A_BATCH)
