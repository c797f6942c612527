"""Draining: deliveries are made as time passes for the outbox, and what their receivers raise is raised."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F, QuerySet

from heliograph.dispatch import observe
from heliograph.outbox.clock import DatabaseNow
from heliograph.outbox.events import DeliveryEvent
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Outcome
from heliograph.outbox.work.runner import drain as make_due
from heliograph.testing.verified_arguments import verify_time

# SQLite's clock has milliseconds: a delivery is due for sure when one more has passed.
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Drain:
    """One drain of a database: which queues it takes, and how much time passes for it."""

    using: str
    queues: Collection[str] | None  # None for all
    until: timedelta  # how much time passes at most

    def outcomes(self, *, raising: bool) -> list[Outcome]:
        """Make the deliveries that are due, or become due, in their order.

        With `raising`, the errors of deliveries that have failed in the end are raised: one as it is, several as a
        group. Raises TypeError or ValueError for a time that is no timedelta, or goes backwards.
        """
        verify_time("until", self.until)
        last = dict[int, DeliveryEvent]()
        with observe(lambda event: last.__setitem__(event.id, event), DeliveryEvent):
            outcomes = [*self._made()]
        errors = [event.error for event in last.values() if event.error is not None]
        if raising and errors:
            raise errors[0] if len(errors) == 1 else _group(errors)
        return outcomes

    def _made(self) -> Iterator[Outcome]:
        left = self.until
        while True:
            yield from make_due(self.using, self.queues)
            wait = self._until_next()
            if wait is None or wait > left:
                return
            self._let_pass(wait + _TICK)
            left -= wait

    def _until_next(self) -> timedelta | None:
        """Return how much later than now the next delivery is due, of any queue; None if none is."""
        later = self._waiting().filter(due_at__gt=DatabaseNow()).order_by("due_at")
        found = later.values_list("due_at", DatabaseNow())[:1]
        return next((due_at - now for due_at, now in found), None)

    def _let_pass(self, time: timedelta) -> None:
        """Bring the due times of all waiting deliveries forward, as if this time had passed for them."""
        self._waiting().update(due_at=F("due_at") - time)

    def _waiting(self) -> QuerySet[Delivery]:
        return Delivery.objects.using(self.using).filter(state=State.READY)


def _group(errors: list[BaseException]) -> BaseException:
    return BaseExceptionGroup(f"{len(errors)} deliveries have failed", errors)
