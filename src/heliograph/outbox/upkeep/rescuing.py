"""The rescue: deliveries of a worker whose lease has run out are given to others."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from django.db import connections

from heliograph.outbox.charset import one_line
from heliograph.outbox.clock import DatabaseNow
from heliograph.outbox.delivery_rows import CLAIMED, Claim
from heliograph.outbox.durable import registry
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, LostWorkerError, Outcome, of_loss
from heliograph.outbox.work.attempts import announce
from heliograph.outbox.work.claiming import hand_back, lost_workers
from heliograph.outbox.work.recording import LostError, record
from heliograph.outbox.write_transaction import writing

logger = logging.getLogger("heliograph.outbox")


def rescue(using: str) -> int:
    """Give the deliveries of lost workers to others, and return how many these were.

    A worker makes its deliveries one after the other, in the order of the ids. So it can have begun only the first one,
    which counts as an attempt; the others are as if nobody had claimed them.
    """
    receivers = registry.known()
    return sum(_rescue_from(worker, using, receivers) for worker in lost_workers(using))


def _rescue_from(worker: str, using: str, receivers: Mapping[str, Sequence[DurableReceiver]]) -> int:
    with writing(using):
        rows = [*_held(worker, using)]
        if not rows:  # another process was faster, or the worker lives
            return 0
        claim = _claim_of(rows[0], using)
        outcome = _outcome(claim, receivers)
        try:
            record(claim, outcome)
        except LostError:
            return 0
        hand_back(using, worker, [row.pk for row in rows[1:]])
    logger.warning(
        "The worker %s is lost, which had begun delivery %d; rescued with what waited: %d",
        *(one_line(worker), claim.id, len(rows)),
    )
    announce(claim, outcome, None)
    return len(rows)


def _held(worker: str, using: str) -> Any:
    can_skip = connections[using].features.has_select_for_update_skip_locked
    running = Delivery.objects.using(using).filter(state=State.RUNNING, worker=worker, leased_until__lt=DatabaseNow())
    return running.select_for_update(skip_locked=can_skip).order_by("pk")


def _claim_of(row: Delivery, using: str) -> Claim:
    return Claim(*_columns(row), worker=row.worker, using=using)


_columns: Any = attrgetter(*CLAIMED)


def _outcome(claim: Claim, receivers: Mapping[str, Sequence[DurableReceiver]]) -> Outcome:
    error = LostWorkerError(f"The worker {claim.worker} was lost in attempt {claim.attempt}")
    of_name = receivers.get(claim.receiver)
    if of_name is None:  # a worker that has the receiver knows how often it is attempted
        return Again(0.0, error)
    return of_loss(error, registry.chosen(of_name, claim.signal, claim.sender).policy.retry, claim.attempt)
