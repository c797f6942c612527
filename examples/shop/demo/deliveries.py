"""The outcomes of the deliveries, read from their table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Count, Max, Min, Q, Sum
from heliograph.outbox.models import Delivery, State


@dataclass(frozen=True)
class Deliveries:
    """The deliveries of a receiver: what became of them, in how many attempts, and the errors of those that failed."""

    receiver: str
    made: int
    discarded: int
    dead: int
    attempts: int
    fewest: int  # attempts of one delivery
    most: int
    errors: dict[str, int]


def deliveries(beginning: Sequence[str] = ("",)) -> tuple[Deliveries, ...]:
    """Return the deliveries of each receiver whose name has one of these beginnings."""
    named = reduce(or_, (Q(receiver__startswith=one) for one in beginning))
    rows = (
        Delivery.objects.filter(named)
        .order_by("receiver")
        .values("receiver")
        .annotate(
            made=Count("pk", Q(state=State.SUCCESSFUL)),
            discarded=Count("pk", Q(state=State.DISCARDED)),
            dead=Count("pk", Q(state=State.DEAD)),
            fewest=Min("attempts"),
            most=Max("attempts"),
            in_all=Sum("attempts"),
        )
    )
    return tuple(Deliveries(attempts=row.pop("in_all"), errors=_errors(row["receiver"]), **row) for row in rows)


def _errors(receiver: str) -> dict[str, int]:
    """Count the errors of the attempts that failed, by their class."""
    failed = Delivery.objects.filter(receiver=receiver).exclude(history="")
    return dict(Counter(failure["error"].partition(":")[0] for one in failed for failure in one.failures))
