"""Deferral: what is kept of a send for a call that is made later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from heliograph.conditions import Locked, watched
from heliograph.dispatch import Call, Condition
from heliograph.dispatch.connections import Receiver
from heliograph.dispatch.observers import noted_in
from heliograph.dispatch.reentrancy import Handling, key_of
from heliograph.orm.steps import Hold
from heliograph.transactions.autocommit_save import turn_of
from heliograph.transactions.late_calls import make_late, with_key
from heliograph.transactions.net import heard


@dataclass(frozen=True, repr=False)
class Deferral:
    """How a call is made from a send for a policy that makes it later."""

    inner: Callable[[Receiver, dict[str, Any]], Call]
    is_guarded: bool  # against being called again for what it is handling
    hooks: tuple[Hold, ...]  # what keeps in place what tells the end of a transaction, also while a call waits

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> Call:
        call = self.inner(receiver, payload)
        return DeferredCall(receiver, call.payload, call, self, key_of(payload.get("instance")), noted_in())

    def __repr__(self) -> str:
        return "" if self.inner is Call else repr(self.inner)


@dataclass(frozen=True, slots=True)
class DeferredCall(Call):
    """A call that waits."""

    inner: Call
    deferral: Deferral
    primary_key: Any  # of the instance
    send: int | None  # the number under which observers know it

    def make(self) -> Any:
        """Make the call, as the send would have."""
        payload = with_key(self.payload, self.primary_key)
        call = self.inner if payload is self.payload else replace(self.inner, payload=payload)
        is_guarded = self.deferral.is_guarded and payload.get("instance") is not None
        return make_late(call, Handling(self.receiver, payload) if is_guarded else None, self.send)


@dataclass(frozen=True, repr=False)
class BatchDeferral(Deferral):
    """The same for a receiver that is called with a batch, of which its condition is asked."""

    when: Condition | None

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields whose changes are asked for; ALL if any are, none if none."""
        return () if self.when is None else watched(self.when)

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> Call:
        return heard(self.inner(receiver, payload), self)


@dataclass(frozen=True, repr=False, eq=False)
class Once(Condition):
    """The condition of a receiver that may have been called when the row was written, before Django sends post_save."""

    inner: Condition | None
    is_asked: bool  # at each send; otherwise it is asked of a whole batch

    def holds(self, payload: Mapping[str, Any]) -> bool:
        turn = turn_of(payload)
        called = [] if turn is None else turn.called
        for at, condition in enumerate(called):
            if condition is self:
                del called[at]  # another send is another event
                return False
        if self.inner is None:
            return True
        return self.inner.holds(payload) if self.is_asked else not self._is_too_late(payload)

    def _is_too_late(self, payload: Mapping[str, Any]) -> bool:
        """Return whether the row of a deletion was gone before it was locked; only known at the time of the send."""
        return any(isinstance(leaf, Locked) and not leaf.holds(payload) for leaf in self.leaves())

    def leaves(self) -> Iterator[Condition]:
        return iter(()) if self.inner is None else self.inner.leaves()

    def __repr__(self) -> str:
        return "" if self.inner is None else repr(self.inner)
