"""Deferral: what is kept of a send for a call that is made later."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models.signals import post_delete, pre_delete

from heliograph.dispatch import Call, Condition
from heliograph.dispatch.receivers import Receiver
from heliograph.dispatch.reentrancy import Handling
from heliograph.patches import Tenancy
from heliograph.transactions.batches import heard
from heliograph.transactions.calls import HandledCall


@dataclass(frozen=True, repr=False)
class Deferral:
    """How a call is made from a send for a policy that makes it later."""

    inner: Callable[[Receiver, dict[str, Any]], Call]
    is_guarded: bool  # against being called again for what it is handling
    hooks: Tenancy  # keeps in place what tells the end of a transaction

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> Call:
        call = self.inner(receiver, lasting(payload))
        if not self.is_guarded or payload.get("instance") is None:
            return call
        return HandledCall(receiver, call.payload, call, Handling(receiver, call.payload))

    def __repr__(self) -> str:
        return "" if self.inner is Call else repr(self.inner)


@dataclass(frozen=True, repr=False)
class BatchDeferral(Deferral):
    """The same for a receiver that is called with a batch."""

    when: Condition | None

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> Call:
        return heard(self.inner(receiver, lasting(payload)), self.when, self.is_guarded)


def lasting(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload that is the same later: Django takes the primary key of an instance away once it is deleted."""
    if payload["signal"] is post_delete or payload["signal"] is pre_delete:
        return {**payload, "instance": copy.copy(payload["instance"])}
    return payload


@dataclass(frozen=True, repr=False)
class AskedLater(Condition):
    """A condition that is asked of a batch, and lets every send into it."""

    inner: Condition

    def holds(self, payload: Mapping[str, Any]) -> bool:
        return True

    def leaves(self) -> Iterator[Condition]:
        return self.inner.leaves()

    def __repr__(self) -> str:
        return repr(self.inner)
