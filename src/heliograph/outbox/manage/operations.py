"""Deliveries are redelivered, discarded and deleted for people: in chunks, and never while they run.

The state is a condition of each statement, so that a delivery which a worker has claimed meanwhile stays as it is.
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
from heliograph.outbox.notify.notifying import notify
from heliograph.outbox.states import InStates

# The states in which a delivery can be redelivered, discarded or deleted.
REDELIVERABLE = FINISHED
DISCARDABLE = (State.READY.value, State.DEAD.value)
PRUNABLE = FINISHED

# The states in which deliveries are redelivered or discarded by default. To make again a call that has succeeded, or to
# discard one that waits, somebody has to name its state.
BY_DEFAULT = (State.DEAD.value,)

# The states in which deliveries are deleted after some time; they have an index of their own.
PASSING = (State.SUCCESSFUL.value, State.DISCARDED.value)

# How many rows a statement changes: enough that statements cost little, and so few that nobody waits for them long.
CHUNK = 500


@dataclass(frozen=True)
class HistoryEntry:
    """A line in the history of a delivery, about an operation that changes it."""

    operation: str  # "redelivered" or "discarded"
    by: str
    reason: str

    @property
    def line(self) -> str:
        """The line of JSON."""
        return json.dumps({**asdict(self), "at": timezone.now().isoformat(timespec="seconds")}) + "\n"


Progress = Callable[[int], object]  # is called with how many there were so far


def _show_nobody(total: int) -> None:
    """Show the progress to nobody."""


# --- choosing ---------------------------------------------------------------------------------------------------


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
    """Return the deliveries of each backend that are older than the settings keep them."""
    settings = all_settings()
    others = [alias for alias in settings if alias != "default"]
    found = []
    for alias, of_alias in settings.items():
        if of_alias.keep is not None:
            old = select(using, PASSING, older_than=of_alias.keep.total_seconds())
            # The default backend says how long deliveries are kept whose own backend is no longer in the settings.
            found.append(old.exclude(backend__in=others) if alias == "default" else old.filter(backend=alias))
    return found


# --- changing them ----------------------------------------------------------------------------------------------


def redeliver(
    deliveries: QuerySet[Delivery], progress: Progress = _show_nobody, *, entry: HistoryEntry | None = None
) -> int:
    """Let deliveries that have finished be made again, as if they were new; return how many.

    Their former attempts stay in their history.
    """
    return _in_chunks(deliveries, REDELIVERABLE, partial(_redeliver, entry), progress)


def discard(
    deliveries: QuerySet[Delivery], reason: str, progress: Progress = _show_nobody, *, entry: HistoryEntry | None = None
) -> int:
    """Discard deliveries that wait or are dead, and keep the reason; return how many."""
    return _in_chunks(deliveries, DISCARDABLE, partial(_discard, reason, entry), progress)


def delete(deliveries: QuerySet[Delivery], progress: Progress = _show_nobody, seconds: float | None = None) -> int:
    """Delete deliveries that have finished, for so many seconds at most; return how many."""
    until = None if seconds is None else monotonic() + seconds
    finished = for_writing(deliveries.filter(InStates(*PRUNABLE)))
    total = 0
    # Without an ORDER BY, the database takes the order of an index on the time.
    while ids := [*finished.order_by().values_list("pk", flat=True)[:CHUNK]]:
        total += _delete(finished.db, ids)
        progress(total)
        if until is not None and monotonic() > until:
            break
    return total


def prune(using: str, seconds: float | None = 5.0) -> int:
    """Delete what is older than the settings keep it, for so many seconds at most; return how many deliveries."""
    _forget_operations(using)
    return sum(delete(old, seconds=seconds) for old in expired(using))


def _forget_operations(using: str) -> None:
    """Delete operations that are older than the default backend keeps deliveries."""
    keep = all_settings()["default"].keep
    if keep is not None:
        then = DatabaseLater(-keep.total_seconds())
        Operation.objects.using(using).filter(finished_at__lt=then)._raw_delete(using)


# --- a chunk ----------------------------------------------------------------------------------------------------


def _in_chunks(
    deliveries: QuerySet[Delivery], states: Sequence[str], change: Callable[[Any], int], progress: Progress
) -> int:
    """Change the deliveries in these states in the order of their ids, so that none is changed twice."""
    allowed = for_writing(deliveries.filter(InStates(*states)))
    ids = allowed.order_by("pk").values_list("pk", flat=True)
    last = total = 0
    while some := [*ids.filter(pk__gt=last)[:CHUNK]]:
        total += change(_these(allowed.db, states, some))
        progress(total)
        last = some[-1]
    return total


def for_writing(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return the same deliveries on the database for writing: a replica may be behind."""
    using = deliveries._db or router.db_for_write(Delivery)  # type: ignore[attr-defined]  # what `using()` has set
    return deliveries.using(using)


def _these(using: str, states: Sequence[str], ids: Sequence[int]) -> QuerySet[Delivery]:
    return Delivery.objects.using(using).filter(InStates(*states), pk__in=ids)


def _in_history(entry: HistoryEntry | None) -> dict[str, Any]:
    """Return the update that adds a line to the history."""
    return {} if entry is None else {"history": Concat(F("history"), Value(entry.line))}


_AS_NEW = {
    "state": State.READY,
    "attempts": 0,
    "finished_at": None,
    "leased_until": None,
    "worker": "",
    "error": "",
    "traceback": "",
}


def _redeliver(entry: HistoryEntry | None, chunk: QuerySet[Delivery]) -> int:
    ids = [*chunk.values_list("pk", flat=True)]
    with transaction.atomic(chunk.db):
        count = chunk.update(**_AS_NEW, due_at=DatabaseNow(), **_in_history(entry))
        _wake(chunk.db, ids)
    return count


def _discard(reason: str, entry: HistoryEntry | None, chunk: QuerySet[Delivery]) -> int:
    written = {"finished_at": DatabaseNow(), "leased_until": None, "error": reason, **_in_history(entry)}
    return chunk.update(state=State.DISCARDED, **written)


def _delete(using: str, ids: Sequence[int]) -> int:
    """Delete by one statement that sends no signals: receivers of all models do not mean these rows."""
    return _these(using, PRUNABLE, ids)._raw_delete(using)


def _wake(using: str, ids: Sequence[int]) -> None:
    """Notify the backends of these deliveries after the commit."""
    for (backend, queue), numbers in _by_queue(using, ids):
        transaction.on_commit(partial(notify, backend, using, queue, numbers), using=using)


def _by_queue(using: str, ids: Sequence[int]) -> Iterator[tuple[tuple[str, str], list[int]]]:
    found: dict[tuple[str, str], list[int]] = {}
    ready = Delivery.objects.using(using).filter(pk__in=ids, state=State.READY)
    for number, backend, queue in ready.values_list("pk", "backend", "queue"):
        found.setdefault((backend, queue), []).append(number)
    yield from found.items()
