"""Sweeping: backends are told again of what they were told long ago, or never, and have not made."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import Any

from django.db import connections, router
from django.db.models import Exists, OuterRef, Q

from heliograph.outbox.clock import DatabaseLater, DatabaseNow
from heliograph.outbox.conf import all_settings
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.notify.lookup import backend_of
from heliograph.outbox.notify.notifying import tell
from heliograph.outbox.states import InStates
from heliograph.outbox.writing import writing

# How many deliveries are told at once, and how often in one sweep: another one comes soon.
_SIZE = 500
_MOST = 20

# After how many seconds a backend is told again at the latest, unless its settings say more. What waits in a queue that
# is an hour long would else be there sixty times when its turn comes.
_LONGEST = 600.0


def sweep(using: str) -> int:
    """Tell backends again of deliveries that are due, those that they do not know of; return how many were told.

    Several sweeps at once divide what there is to tell among them.
    """
    return sum(_swept(using, alias) for alias in told_backends())


def told_backends() -> list[str]:
    """Return the aliases of the backends whose workers have to be told."""
    return [alias for alias in all_settings() if backend_of(alias).is_told]


def databases() -> list[str]:
    """Return the aliases of the databases that have the table, as the routers say."""
    return [alias for alias in connections if router.allow_migrate_model(alias, Delivery)]


def tell_again_after(alias: str) -> float:
    """Return how many seconds after it was told a backend is told again."""
    return float(backend_of(alias).settings.get("TELL_AGAIN_AFTER", 60.0))


def shortest_pause(most: float) -> float:
    """Return the seconds from one sweep to the next: four in the time after which a backend is told again."""
    return min([most, *(tell_again_after(alias) / 4 for alias in told_backends())])


def _swept(using: str, alias: str) -> int:
    count = 0
    for _ in range(_MOST):
        rows = _marked(using, alias)
        told = sum(len(ids) for queue, ids in _by_queue(rows) if _told(using, alias, queue, ids))
        count += told
        if len(rows) < _SIZE or told < len(rows):
            break
    return count


def _told(using: str, alias: str, queue: str, ids: list[int]) -> bool:
    is_told = tell(alias, using, queue, ids)
    if not is_told:  # however long that has been so, it is their turn soon
        _mark(using, ids, tell_again_after(alias))
    return is_told


def _by_queue(rows: list[Any]) -> list[tuple[str, list[int]]]:
    queues = groupby(sorted(rows, key=attrgetter("queue", "pk")), key=attrgetter("queue"))
    return [(queue, [row.pk for row in some]) for queue, some in queues]


def _marked(using: str, alias: str) -> list[Any]:
    """Return some deliveries that a backend does not know of, marked as told, so that nobody else has them for now."""
    untold = _untold(using, alias)
    if not untold.exists():
        return []
    can_skip = connections[using].features.has_select_for_update_skip_locked
    with writing(using):
        some = untold.select_for_update(skip_locked=can_skip).annotate(now=DatabaseNow()).order_by("due_at", "pk")
        rows = [*some.only("queue", "due_at")[:_SIZE]]
        if rows:
            _mark(using, [row.pk for row in rows], _pause(alias, (rows[-1].now - rows[-1].due_at).total_seconds()))
    return rows


def _pause(alias: str, waited: float) -> float:
    """Return after how many seconds a backend is told again of what has waited for so long: as long again."""
    usual = tell_again_after(alias)
    return max(usual, min(waited, _LONGEST))


def _mark(using: str, ids: list[int], seconds: float) -> None:
    """Let deliveries count as told for so many seconds, unless somebody has them."""
    marked = Delivery.objects.using(using).filter(InStates(State.READY), pk__in=ids)
    marked.update(leased_until=DatabaseLater(seconds))


def _untold(using: str, alias: str) -> Any:
    """Return the deliveries that are due and that a backend does not know of.

    A new one was told after its commit; one that was given back has nothing that says so, and one that was told again
    has a time until when it counts as told. One with a key is told when it is its turn.
    """
    now = DatabaseNow()
    never = Q(leased_until=None) & (Q(attempts__gt=0) | Q(due_at__lte=DatabaseLater(-tell_again_after(alias))))
    same_key = Delivery.objects.using(using).filter(receiver=OuterRef("receiver"), key=OuterRef("key"), key__gt="")
    before = Q(state=State.READY, pk__lt=OuterRef("pk")) | Q(state=State.RUNNING)
    return Delivery.objects.using(using).filter(
        Q(leased_until__lte=now) | never,
        Q(key="") | ~Exists(same_key.filter(before)),
        InStates(State.READY),
        backend=alias,
        due_at__lte=now,
    )
