"""The sweep: backends are notified again of due deliveries whose message may be lost, or was never sent."""

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
from heliograph.outbox.notify.notifying import notify
from heliograph.outbox.states import InStates
from heliograph.outbox.write_transaction import writing

# How many deliveries one notification has, and how many notifications one sweep: the next sweep comes soon.
_SIZE = 500
_MOST = 20

# After how many seconds a backend is notified again at the latest, unless its settings say more. With a pause of always
# a minute, a delivery that waits for an hour would be in the queue sixty times.
_LONGEST = 600.0


def sweep(using: str) -> int:
    """Notify backends of due deliveries that they do not know of; return how many these were.

    Several sweeps at once divide the deliveries among them.
    """
    return sum(_swept(using, alias) for alias in external_backends())


def external_backends() -> list[str]:
    """Return the aliases of the backends with external workers."""
    return [alias for alias in all_settings() if backend_of(alias).is_external]


def databases() -> list[str]:
    """Return the aliases of the databases that have the table, as the routers say."""
    return [alias for alias in connections if router.allow_migrate_model(alias, Delivery)]


def notify_again_after(alias: str) -> float:
    """Return after how many seconds a backend is notified again."""
    return float(backend_of(alias).settings.get("NOTIFY_AGAIN_AFTER", 60.0))


def shortest_pause(most: float) -> float:
    """Return the seconds between sweeps: a quarter of the time after which a backend is notified again."""
    return min([most, *(notify_again_after(alias) / 4 for alias in external_backends())])


def _swept(using: str, alias: str) -> int:
    count = 0
    for _ in range(_MOST):
        rows = _marked(using, alias)
        notified = sum(len(ids) for queue, ids in _by_queue(rows) if _is_notified(using, alias, queue, ids))
        count += notified
        if len(rows) < _SIZE or notified < len(rows):
            break
    return count


def _is_notified(using: str, alias: str, queue: str, ids: list[int]) -> bool:
    is_done = notify(alias, using, queue, ids)
    if not is_done:  # they are tried again after the usual time, however long they have waited
        _mark(using, ids, notify_again_after(alias))
    return is_done


def _by_queue(rows: list[Any]) -> list[tuple[str, list[int]]]:
    queues = groupby(sorted(rows, key=attrgetter("queue", "pk")), key=attrgetter("queue"))
    return [(queue, [row.pk for row in some]) for queue, some in queues]


def _marked(using: str, alias: str) -> list[Any]:
    """Return some deliveries that a backend does not know of, marked as notified, so that no other sweep takes them."""
    unknown = _unknown(using, alias)
    if not unknown.exists():
        return []
    can_skip = connections[using].features.has_select_for_update_skip_locked
    with writing(using):
        some = unknown.select_for_update(skip_locked=can_skip).annotate(now=DatabaseNow()).order_by("due_at", "pk")
        rows = [*some.only("queue", "due_at")[:_SIZE]]
        if rows:
            _mark(using, [row.pk for row in rows], _pause(alias, (rows[-1].now - rows[-1].due_at).total_seconds()))
    return rows


def _pause(alias: str, waited: float) -> float:
    """Return after how many seconds a backend is notified again: after as long as the delivery has waited."""
    usual = notify_again_after(alias)
    return max(usual, min(waited, _LONGEST))


def _mark(using: str, ids: list[int], seconds: float) -> None:
    """Mark deliveries as notified for so many seconds, unless a worker has claimed them."""
    marked = Delivery.objects.using(using).filter(InStates(State.READY), pk__in=ids)
    marked.update(leased_until=DatabaseLater(seconds))


def _unknown(using: str, alias: str) -> Any:
    """Return the due deliveries of which a backend may not know.

    The backend was notified of a new delivery after its commit. `leased_until` is the time until which a delivery
    counts as notified after a sweep; it is empty if a worker has given the delivery back. Of the deliveries with one
    key, only the first can be made.
    """
    now = DatabaseNow()
    never = Q(leased_until=None) & (Q(attempts__gt=0) | Q(due_at__lte=DatabaseLater(-notify_again_after(alias))))
    same_key = Delivery.objects.using(using).filter(receiver=OuterRef("receiver"), key=OuterRef("key"), key__gt="")
    before = Q(state=State.READY, pk__lt=OuterRef("pk")) | Q(state=State.RUNNING)
    return Delivery.objects.using(using).filter(
        Q(leased_until__lte=now) | never,
        Q(key="") | ~Exists(same_key.filter(before)),
        InStates(State.READY),
        backend=alias,
        due_at__lte=now,
    )
