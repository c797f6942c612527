"""Attempts that are made twice: the first by a worker that dies before it has recorded it, or the second by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import connections

from heliograph.context.kept_context import under
from heliograph.outbox.delivery_rows import Claim
from heliograph.outbox.durable.registry import DurableReceiver, chosen, known
from heliograph.outbox.durable.retrying import RetryAfter, Snooze
from heliograph.outbox.manage.operations import redeliver
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Outcome
from heliograph.outbox.work.attempts import attempt, make_call
from heliograph.outbox.work.claiming import claim_one
from heliograph.outbox.work.isolation import isolated
from heliograph.outbox.work.runner import new_name
from heliograph.outbox.work.stored_contexts import context_of_attempt
from heliograph.outbox.write_transaction import block_of_attempt
from heliograph.transactions.pending import take_rollback_calls


class Claimed:
    """A delivery that a worker has claimed, and its receiver."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self._receivers = known()[claim.receiver]
        self.durable: DurableReceiver = chosen(self._receivers, claim.signal, claim.sender)
        self.receiver: Callable[..., Any] = self.durable.receiver()

    def make(self) -> Outcome | None:
        """Make the attempt, and record it."""
        return attempt(self.claim, self._receivers)

    def make_and_die(self) -> None:
        """Make the attempt as a worker that dies before it has recorded it, and whose lease runs out then."""
        with under(context_of_attempt(self.claim)):
            isolated(partial(_died, self.claim, self.durable))
        mine = Delivery.objects.using(self.claim.using).filter(pk=self.claim.id)
        mine.update(state=State.READY, worker="", leased_until=None)

    def redeliver(self) -> None:
        """Let the delivery be made again, as `manage.py outbox redeliver` does."""
        redeliver(Delivery.objects.using(self.claim.using).filter(pk=self.claim.id))


def claimed(using: str, number: int) -> Claimed | None:
    """Claim the delivery with this id; None if it is not due, or has no receiver here."""
    claim = claim_one(using, new_name(), known().keys(), number)
    return None if claim is None else Claimed(claim)


class _DiedError(Exception):
    """Ends an attempt where a worker dies."""


def _died(claim: Claim, durable: DurableReceiver) -> None:
    """Call the receiver, and roll back its transaction without calls after the rollback, as when a worker is killed."""
    with suppress(_DiedError, RetryAfter, Snooze), block_of_attempt(claim.using, atomic=durable.policy.atomic):
        make_call(claim, durable)
        take_rollback_calls(connections[claim.using])
        raise _DiedError
