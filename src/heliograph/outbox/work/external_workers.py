"""Fleets: what a worker of another system does with a delivery that it is told of."""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar

from heliograph.outbox.clock import DatabaseLater, DatabaseNow
from heliograph.outbox.models import UNFINISHED, Delivery, State
from heliograph.outbox.notify.external import ExternalBackend
from heliograph.outbox.notify.lookup import backend_of
from heliograph.outbox.notify.notifying import could_tell, tell
from heliograph.outbox.outcomes import Again, HandedBack, Outcome
from heliograph.outbox.work.runner import run_one

# What this worker has been told of and has not begun: more than one, where a fleet works at once, in who tells it.
_told: ContextVar[deque[tuple[int, str]] | None] = ContextVar("heliograph_told", default=None)


def run_told(number: int, using: str) -> None:
    """Make the delivery with this id, if it is due, and tell the fleet of what is to be made after it.

    A fleet that works at once, as those of tests do, makes one after the other, and none within another.
    """
    told = _told.get()
    if told is not None:
        told.append((number, using))
        return
    told = deque([(number, using)])
    token = _told.set(told)
    try:
        while told:
            _run(*told.popleft())
    finally:
        _told.reset(token)


def _run(number: int, using: str) -> None:
    outcome = run_one(number, using)
    if outcome is None or isinstance(outcome, Again | HandedBack):
        _tell_again(number, using, outcome)
    else:
        _tell_next(number, using)


def _tell_again(number: int, using: str, outcome: Outcome | None) -> None:
    """Tell the fleet of the next attempt, or of one that it was told of too early: its clock may be another.

    Where it cannot wait for so long, the next sweep tells it, since nothing says that it was told.
    """
    ready = Delivery.objects.using(using).filter(pk=number, state=State.READY)
    row = ready.annotate(now=DatabaseNow()).first()
    if row is None:
        return
    fleet, seconds = backend_of(row.backend), max((row.due_at - row.now).total_seconds(), 0.0)
    is_wanted = outcome is not None or seconds
    if not is_wanted or not isinstance(fleet, ExternalBackend) or not fleet.can_wait(seconds):
        return
    if could_tell(lambda: fleet.tell_in(seconds, using, [number], row.queue), fleet.alias, row.queue, [number]):
        until = DatabaseLater(seconds + fleet.settings["TELL_AGAIN_AFTER"])
        ready.filter(attempts=row.attempts).update(leased_until=until)


def _tell_next(number: int, using: str) -> None:
    """Tell of the next delivery with the same key: who was told of it before it was its turn has let it be."""
    rows = Delivery.objects.using(using)
    lane = rows.filter(pk=number, key__gt="").values("receiver", "key").first()
    if lane is None:
        return
    row = rows.filter(**lane, state__in=UNFINISHED).annotate(now=DatabaseNow()).order_by("pk").first()
    if row is not None and row.state == State.READY and row.due_at <= row.now:
        tell(row.backend, using, row.queue, [row.pk])
