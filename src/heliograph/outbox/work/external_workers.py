"""An external worker, such as a worker of Celery, makes the delivery whose id a message has."""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar

from heliograph.outbox.clock import DatabaseLater, DatabaseNow
from heliograph.outbox.models import UNFINISHED, Delivery, State
from heliograph.outbox.notify.external import ExternalBackend
from heliograph.outbox.notify.lookup import backend_of
from heliograph.outbox.notify.notifying import could_notify, notify
from heliograph.outbox.outcomes import Again, HandedBack, Outcome, Snoozed
from heliograph.outbox.work.runner import run_one

# Deliveries announced while one is being made. Celery's eager mode and Django's immediate backend run a task inside the
# call that enqueues it; this queue makes them run one after the other.
_waiting: ContextVar[deque[tuple[int, str]] | None] = ContextVar("heliograph_waiting", default=None)


def run_delivery(number: int, using: str) -> None:
    """Make the delivery with this id, if it is due, and notify the external workers of the one after it."""
    waiting = _waiting.get()
    if waiting is not None:
        waiting.append((number, using))
        return
    waiting = deque([(number, using)])
    token = _waiting.set(waiting)
    try:
        while waiting:
            _run(*waiting.popleft())
    finally:
        _waiting.reset(token)


def _run(number: int, using: str) -> None:
    outcome = run_one(number, using)
    if outcome is None or isinstance(outcome, Again | HandedBack | Snoozed):
        _notify_again(number, using, outcome)
    else:
        _notify_of_next(number, using)


def _notify_again(number: int, using: str, outcome: Outcome | None) -> None:
    """Notify the external workers of the next attempt, or of one whose message came too early by their clock.

    If they cannot wait for so long, a later sweep notifies them.
    """
    ready = Delivery.objects.using(using).filter(pk=number, state=State.READY)
    row = ready.annotate(now=DatabaseNow()).first()
    if row is None:
        return
    backend, seconds = backend_of(row.backend), max((row.due_at - row.now).total_seconds(), 0.0)
    is_wanted = outcome is not None or seconds
    if not is_wanted or not isinstance(backend, ExternalBackend) or not backend.can_wait(seconds):
        return
    if could_notify(lambda: backend.notify_in(seconds, using, [number], row.queue), backend.alias, row.queue, [number]):
        until = DatabaseLater(seconds + backend.settings["NOTIFY_AGAIN_AFTER"])
        ready.filter(attempts=row.attempts).update(leased_until=until)


def _notify_of_next(number: int, using: str) -> None:
    """Notify of the next delivery with the same key: a message that came before this one was done has no effect."""
    rows = Delivery.objects.using(using)
    same_key = rows.filter(pk=number, key__gt="").values("receiver", "key").first()
    if same_key is None:
        return
    row = rows.filter(**same_key, state__in=UNFINISHED).annotate(now=DatabaseNow()).order_by("pk").first()
    if row is not None and row.state == State.READY and row.due_at <= row.now:
        notify(row.backend, using, row.queue, [row.pk])
