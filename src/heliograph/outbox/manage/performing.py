"""An operation on many deliveries is done in chunks, by the process that asked for it and by workers.

A chunk and the progress of its operation are one transaction. So a process that is killed leaves nothing half done, and
another process goes on with the next chunk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from time import monotonic

from django.db import connections
from django.db.models import Q, QuerySet

from heliograph.outbox.clock import DatabaseNow
from heliograph.outbox.counting import counted
from heliograph.outbox.manage import operations, ranges
from heliograph.outbox.manage.selecting import Selection
from heliograph.outbox.models import Delivery, Operation, Verb
from heliograph.outbox.states import InStates
from heliograph.outbox.write_transaction import writing

logger = logging.getLogger("heliograph.outbox")

# In which states deliveries may be, for each verb.
STATES: dict[str, Sequence[str]] = {
    Verb.REDELIVER: operations.REDELIVERABLE,
    Verb.DISCARD: operations.DISCARDABLE,
}

Progress = Callable[[Operation], object]  # is called after each chunk


def request(selection: Selection, verb: str, states: Collection[str], *, by: str, reason: str) -> Operation:
    """Save an operation that redelivers or discards the deliveries of a selection that are in these states."""
    ids = selection.chosen(states)
    operation = Operation.objects.using(selection.using).create(
        verb=verb,
        by=by[:255],
        reason=reason,
        states=",".join(sorted(states)),
        ids=ranges.text_of(ids),
        last_claim=selection.last_claim,
        total=len(ids),
        created_at=DatabaseNow(),
        finished_at=None if ids else DatabaseNow(),
    )
    operation.refresh_from_db()
    return operation


def perform(operation: Operation, seconds: float | None = None, progress: Progress = lambda operation: None) -> None:
    """Do an operation, for so many seconds at most; workers may do chunks of it at the same time."""
    until = None if seconds is None else monotonic() + seconds
    _go_on(operation, until, progress)
    operation.refresh_from_db()


def unfinished(using: str) -> QuerySet[Operation]:
    """Return the operations that have not ended, which wait for a worker or are under way."""
    return Operation.objects.using(using).filter(finished_at=None).order_by("pk")


def perform_waiting(using: str, seconds: float | None = None) -> int:
    """Do the operations that are not finished, for so many seconds at most; return how many there were.

    An operation of which another process does a chunk just now is left to that process. If an operation fails, the
    others are done before its error is raised.
    """
    until = None if seconds is None else monotonic() + seconds
    waiting = [*unfinished(using)]
    errors: list[Exception] = []
    for operation in waiting:
        try:
            _go_on(operation, until, skips=True)
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return len(waiting)


def stop(operation: Operation) -> None:
    """End an operation after the chunk that is being done."""
    Operation.objects.using(operation._state.db).filter(pk=operation.pk, finished_at=None).update(
        finished_at=DatabaseNow()
    )
    operation.refresh_from_db()


def _go_on(
    operation: Operation, until: float | None, progress: Progress = lambda operation: None, *, skips: bool = False
) -> None:
    ids = ranges.ids_of(operation.ids)
    while (step := _step(operation, ids, skips=skips)) is not None:
        progress(step)
        if step.done == step.total:
            logger.info("Operation %d by %s is done: %s %s", step.pk, step.by, step.verbed, counted(step.changed))
            break
        if until is not None and monotonic() > until:
            break


def _step(operation: Operation, ids: Sequence[int], *, skips: bool) -> Operation | None:
    """Do the next chunk, and return the operation after it; None if it has ended, or if another process does it."""
    using: str = operation._state.db  # type: ignore[assignment]  # it was read from there
    can_skip = skips and connections[using].features.has_select_for_update_skip_locked
    of_this = Operation.objects.using(using).filter(pk=operation.pk, finished_at=None)
    with writing(using):
        found = of_this.select_for_update(skip_locked=can_skip).defer("ids").first()
        if found is None:
            return None
        some = ids[found.done : found.done + operations.CHUNK]
        found.changed += _change(found, _as_shown(found, using, some))
        found.done += len(some)
        ended = {"finished_at": DatabaseNow()} if found.done == found.total else {}
        of_this.update(done=found.done, changed=found.changed, **ended)
    return found


def _as_shown(operation: Operation, using: str, ids: Sequence[int]) -> QuerySet[Delivery]:
    """Return the deliveries that no worker has attempted since somebody looked at them."""
    before = Q(claimed_at=None)
    if operation.last_claim is not None:
        before |= Q(claimed_at__lte=operation.last_claim)
    return Delivery.objects.using(using).filter(before, InStates(*operation.states.split(",")), pk__in=ids)


def _change(operation: Operation, deliveries: QuerySet[Delivery]) -> int:
    entry = operations.HistoryEntry(operation.verbed, operation.by, operation.reason)
    if operation.verb == Verb.REDELIVER:
        return operations.redeliver(deliveries, entry=entry)
    return operations.discard(deliveries, operation.reason, entry=entry)
