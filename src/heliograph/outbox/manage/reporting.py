"""How the deliveries of each queue and receiver are doing.

The queries read deliveries that are not finished, or dead, by an index. The others may be millions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q

from heliograph.outbox.clock import DatabaseNow
from heliograph.outbox.durable import registry
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.payload.errors import UnreadableError
from heliograph.outbox.states import InStates


@dataclass(frozen=True)
class Line:
    """How the deliveries of one receiver in one queue are doing."""

    queue: str
    receiver: str
    is_known: bool  # whether the receiver is connected in this process
    ready: int = 0
    running: int = 0
    failing: int = 0  # of those that are ready, how many have failed before
    dead: int = 0
    unreadable: int = 0  # of those that are ready, how many a worker has handed back, since it could not read them
    oldest: float | None = None  # the seconds since one was due, or since its worker was lost
    oldest_running: float | None = None  # the seconds since one was claimed by a worker that lives

    @property
    def unknown(self) -> int:
        """How many wait because the receiver is not connected here."""
        return 0 if self.is_known else self.ready


@dataclass(frozen=True)
class Report:
    """How the deliveries on a database are doing."""

    using: str
    lines: list[Line] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Return the sum of a number over all lines."""
        return sum(getattr(line, name) for line in self.lines)

    @property
    def oldest(self) -> float | None:
        """The seconds for which the oldest delivery has waited."""
        return _longest(line.oldest for line in self.lines)

    @property
    def oldest_running(self) -> float | None:
        """The seconds for which the oldest delivery has been running."""
        return _longest(line.oldest_running for line in self.lines)

    def problems(self, max_age: float, max_running: float) -> Iterator[str]:
        """Yield a sentence for each problem; no delivery should wait, or run, for more than so many seconds."""
        if dead := self.total("dead"):
            yield f"{dead:,} dead {'letter' if dead == 1 else 'letters'}"
        if unknown := [line for line in self.lines if line.unknown]:
            names = ", ".join(sorted({line.receiver for line in unknown}))
            yield f"{self.total('unknown'):,} waiting for receivers that are not connected ({names})"
        if unreadable := [line for line in self.lines if line.unreadable]:
            names = ", ".join(sorted({line.receiver for line in unreadable}))
            yield f"{self.total('unreadable'):,} waiting for a release that can read them ({names})"
        if self.oldest is not None and self.oldest > max_age:
            yield f"the oldest has been waiting for {self.oldest:,.0f} s, which is more than {max_age:g} s"
        if slow := sorted({line.receiver for line in self.lines if (line.oldest_running or 0) > max_running}):
            yield (
                f"one has been running for {self.oldest_running:,.0f} s, which is more than {max_running:g} s"
                f" ({', '.join(slow)})"
            )


def report(using: str) -> Report:
    """Return how the deliveries on a database are doing."""
    known = registry.known()
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in (*_ready(using), *_running(using), *_dead(using)):
        line = lines.setdefault((row.pop("queue"), row.pop("receiver")), {})
        now = row.pop("now", None)
        age = _age(row.pop("since", None), now)
        running = _age(row.pop("running_since", None), now)
        line.update(row, oldest=_longest([age, line.get("oldest")]))
        line.update(oldest_running=_longest([running, line.get("oldest_running")]))
    return Report(using, [Line(*names, names[1] in known, **counts) for names, counts in sorted(lines.items())])


def unknown_receivers(using: str, queues: Collection[str] | None = None) -> dict[str, int]:
    """Return how many deliveries wait, in these queues or in all, for each receiver that is not connected here."""
    receivers = registry.known()
    names = {*receivers, *registry.former_names(receivers)}
    waiting = _grouped(using, State.READY).annotate(ready=Count("pk"))
    counts: Counter[str] = Counter()
    for row in waiting if queues is None else waiting.filter(queue__in=queues):
        if row["receiver"] not in names:
            counts[row["receiver"]] += row["ready"]
    return dict(counts)


def _ready(using: str) -> Any:
    due = Min("due_at", filter=Q(due_at__lte=DatabaseNow()))
    failing = Count("pk", filter=Q(attempts__gt=0))
    unreadable = Count("pk", filter=Q(error__startswith=f"{UnreadableError.__name__}: "))
    counts = {"ready": Count("pk"), "failing": failing, "unreadable": unreadable}
    return _grouped(using, State.READY).annotate(**counts, since=due, now=Max(DatabaseNow()))


def _running(using: str) -> Any:
    lost = Min("leased_until", filter=Q(leased_until__lt=DatabaseNow()))
    begun = Min("claimed_at", filter=Q(leased_until__gte=DatabaseNow()))
    running = _grouped(using, State.RUNNING).annotate(running=Count("pk"), since=lost, running_since=begun)
    return running.annotate(now=Max(DatabaseNow()))


def _dead(using: str) -> Any:
    return _grouped(using, State.DEAD).annotate(dead=Count("pk"))


def _grouped(using: str, state: State) -> Any:
    in_state = Delivery.objects.using(using).filter(InStates(state.value))
    return in_state.order_by().values("queue", "receiver")


def _age(since: datetime | None, now: datetime | None) -> float | None:
    return None if since is None or now is None else (now - since).total_seconds()


def _longest(ages: Iterable[float | None]) -> float | None:
    return max((age for age in ages if age is not None), default=None)
