"""Operations: what people do to deliveries, a few at a time, and never to one that runs.

A statement looks at the state itself, so that what a worker has claimed since it was chosen stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from time import monotonic
from typing import Any

from django.db import router, transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat
from django.utils import timezone

from heliograph.outbox.clock import DatabaseLater, DatabaseNow
from heliograph.outbox.conf import all_settings
from heliograph.outbox.models import FINISHED, Delivery, Operation, State
from heliograph.outbox.notify.notifying import tell
from heliograph.outbox.states import InStates

# From which states a delivery can go where.
REDELIVERABLE = FINISHED
DISCARDABLE = (State.READY.value, State.DEAD.value)
PRUNABLE = FINISHED

# Which of them are redelivered or discarded where nobody says more: a call that has succeeded is made again, and one
# that waits is left out, only where somebody asks for that.
BY_DEFAULT = (State.DEAD.value,)

# What goes by itself after some time; these two have an index of their own.
PASSING = (State.SUCCESSFUL.value, State.DISCARDED.value)

# How many rows a statement changes: so many that the statement costs little, so few that nobody waits for it.
CHUNK = 500


@dataclass(frozen=True)
class Note:
    """What is written into the history of a delivery about an operation that changes it."""

    operation: str  # "redelivered" or "discarded"
    by: str
    reason: str

    @property
    def line(self) -> str:
        """The line of JSON."""
        return json.dumps({**asdict(self), "at": timezone.now().isoformat(timespec="seconds")}) + "\n"


Progress = Callable[[int], object]  # is told how many there were so far


def _tell_nobody(total: int) -> None:
    """Be the progress that nobody looks at."""


# --- which ------------------------------------------------------------------------------------------------------


def select(
    using: str, states: Sequence[str], *, ids: Collection[int] = (), older_than: float | None = None
) -> QuerySet[Delivery]:
    """Return the deliveries in these states, of these ids if there are some.

    `older_than` is in seconds: what finished longer ago than that, or was sent longer ago if it has not finished.
    """
    chosen = Delivery.objects.using(using).filter(InStates(*states))
    if ids:
        chosen = chosen.filter(pk__in=ids)
    return chosen if older_than is None else chosen.filter(_older_than(older_than, states))


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield ids in groups, each of which is changed by one statement."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def states_of(using: str, ids: Sequence[int]) -> dict[int, str]:
    """Return the states of the deliveries with these ids; ids that no delivery has are left out."""
    found: dict[int, str] = {}
    for some in chunks(ids):
        found.update(Delivery.objects.using(using).filter(pk__in=some).values_list("pk", "state"))
    return found


def _older_than(seconds: float, states: Collection[str]) -> Q:
    then = DatabaseLater(-seconds)
    finished = Q(finished_at__lt=then)
    return finished if {*states} <= {*FINISHED} else finished | Q(finished_at=None, created_at__lt=then)


def expired(using: str) -> list[QuerySet[Delivery]]:
    """Return the deliveries that the settings keep no longer, for each backend."""
    settings = all_settings()
    others = [alias for alias in settings if alias != "default"]
    found = []
    for alias, of_alias in settings.items():
        if of_alias.keep is not None:
            old = select(using, PASSING, older_than=of_alias.keep.total_seconds())
            # What was sent to a backend that is not in the settings any more is kept as long as by the default one.
            found.append(old.exclude(backend__in=others) if alias == "default" else old.filter(backend=alias))
    return found


# --- what is done to them ---------------------------------------------------------------------------------------


def redeliver(deliveries: QuerySet[Delivery], progress: Progress = _tell_nobody, *, note: Note | None = None) -> int:
    """Let deliveries that have finished be made again, as if they were new; return how many these are.

    What they have been through stays in their history.
    """
    return _in_chunks(deliveries, REDELIVERABLE, partial(_redeliver, note), progress)


def discard(
    deliveries: QuerySet[Delivery], reason: str, progress: Progress = _tell_nobody, *, note: Note | None = None
) -> int:
    """Let deliveries that wait or are dead not be made, for a reason that is noted; return how many these are."""
    return _in_chunks(deliveries, DISCARDABLE, partial(_discard, reason, note), progress)


def delete(deliveries: QuerySet[Delivery], progress: Progress = _tell_nobody, seconds: float | None = None) -> int:
    """Delete deliveries that have finished, for so many seconds at most; return how many these are."""
    until = None if seconds is None else monotonic() + seconds
    finished = for_writing(deliveries.filter(InStates(*PRUNABLE)))
    total = 0
    # In no order: that of an index on the time, which the database has at hand, is as good as any.
    while ids := [*finished.order_by().values_list("pk", flat=True)[:CHUNK]]:
        total += _delete(finished.db, ids)
        progress(total)
        if until is not None and monotonic() > until:
            break
    return total


def prune(using: str, seconds: float | None = 5.0) -> int:
    """Delete what the settings keep no longer, for so many seconds at most; return how many deliveries that were."""
    _forget_operations(using)
    return sum(delete(old, seconds=seconds) for old in expired(using))


def _forget_operations(using: str) -> None:
    """Delete operations that ended as long ago as the default backend keeps deliveries."""
    keep = all_settings()["default"].keep
    if keep is not None:
        then = DatabaseLater(-keep.total_seconds())
        Operation.objects.using(using).filter(finished_at__lt=then)._raw_delete(using)


# --- a chunk ----------------------------------------------------------------------------------------------------


def _in_chunks(
    deliveries: QuerySet[Delivery], states: Sequence[str], change: Callable[[Any], int], progress: Progress
) -> int:
    """Change what is in these states, in the order of the ids: what comes back meanwhile is not changed again."""
    allowed = for_writing(deliveries.filter(InStates(*states)))
    ids = allowed.order_by("pk").values_list("pk", flat=True)
    last = total = 0
    while some := [*ids.filter(pk__gt=last)[:CHUNK]]:
        total += change(_these(allowed.db, states, some))
        progress(total)
        last = some[-1]
    return total


def for_writing(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return the same deliveries where they can be written: a replica may be behind."""
    using = deliveries._db or router.db_for_write(Delivery)  # type: ignore[attr-defined]  # what `using()` has set
    return deliveries.using(using)


def _these(using: str, states: Sequence[str], ids: Sequence[int]) -> QuerySet[Delivery]:
    return Delivery.objects.using(using).filter(InStates(*states), pk__in=ids)


def _noted(note: Note | None) -> dict[str, Any]:
    """Return what is written about an operation: a line of the history."""
    return {} if note is None else {"history": Concat(F("history"), Value(note.line))}


def _redeliver(note: Note | None, chunk: QuerySet[Delivery]) -> int:
    ids = [*chunk.values_list("pk", flat=True)]
    with transaction.atomic(chunk.db):
        count = chunk.update(
            state=State.READY,
            attempts=0,
            due_at=DatabaseNow(),
            finished_at=None,
            leased_until=None,
            worker="",
            error="",
            traceback="",
            **_noted(note),
        )
        _wake(chunk.db, ids)
    return count


def _discard(reason: str, note: Note | None, chunk: QuerySet[Delivery]) -> int:
    written = {"finished_at": DatabaseNow(), "leased_until": None, "error": reason, **_noted(note)}
    return chunk.update(state=State.DISCARDED, **written)


def _delete(using: str, ids: Sequence[int]) -> int:
    """Delete by one statement that sends no signals: who hears those of all models does not mean these rows."""
    return _these(using, PRUNABLE, ids)._raw_delete(using)


def _wake(using: str, ids: Sequence[int]) -> None:
    """Let those who make these deliveries know of them after the commit."""
    for (backend, queue), numbers in _by_queue(using, ids):
        transaction.on_commit(partial(tell, backend, using, queue, numbers), using=using)


def _by_queue(using: str, ids: Sequence[int]) -> Iterator[tuple[tuple[str, str], list[int]]]:
    found: dict[tuple[str, str], list[int]] = {}
    ready = Delivery.objects.using(using).filter(pk__in=ids, state=State.READY)
    for number, backend, queue in ready.values_list("pk", "backend", "queue"):
        found.setdefault((backend, queue), []).append(number)
    yield from found.items()
