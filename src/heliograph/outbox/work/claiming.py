"""A worker claims deliveries with a lease, renews the lease while it lives, and gives back what it does not make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

from django.db import connections, transaction
from django.db.models import F

from heliograph.databases import database_of, database_with_outbox
from heliograph.outbox import statements
from heliograph.outbox.clock import DatabaseLaterAtLast, DatabaseNow
from heliograph.outbox.conf import all_settings, settings_of
from heliograph.outbox.delivery_rows import Claim
from heliograph.outbox.models import UNFINISHED, Delivery, State
from heliograph.outbox.notify.lookup import backend_of
from heliograph.outbox.write_transaction import writing


def claim(
    using: str, worker: str, receivers: Collection[str], queues: Collection[str] | None = None, size: int = 1
) -> list[Claim]:
    """Claim up to `size` deliveries that are due, for these receivers, in these queues or in all.

    They are in the order in which they were written, and the worker makes them in this order.
    """
    backends = own_backends()
    if not receivers or not backends or (queues is not None and not queues):
        return []
    chosen = statements.due(database_with_outbox(connections[using]), len(receivers), len(backends), len(queues or ()))
    return _claimed(using, worker, chosen, [*receivers, *backends, *(queues or ()), size])


def claim_one(using: str, worker: str, receivers: Collection[str], number: int) -> Claim | None:
    """Claim the delivery with this id, if it is due, is for one of these receivers, and is the first of its key."""
    if not receivers:
        return None
    chosen = statements.one_due(database_with_outbox(connections[using]), len(receivers))
    found = _claimed(using, worker, chosen, [*receivers, number])
    return found[0] if found else None


def own_backends() -> list[str]:
    """Return the aliases of the backends whose workers look into the table themselves."""
    return [alias for alias in all_settings() if not backend_of(alias).is_external]


def _claimed(using: str, worker: str, chosen: str, parameters: Sequence[Any]) -> list[Claim]:
    connection = connections[using]
    database = database_of(connection)
    taking = [worker, database.interval(settings_of("default").lease.total_seconds())]
    if database.returns_rows(connection, of="UPDATE"):
        with connection.cursor() as cursor:
            cursor.execute(statements.claim_at_once(database, chosen), [*parameters, *taking])
            rows = cursor.fetchall()
    else:
        rows = _claimed_in_steps(connection, chosen, parameters, taking)
    claims = sorted((Claim(*row, worker=worker, using=using) for row in rows), key=attrgetter("id"))
    crossed = _handed_back_crossed(using, worker, [one.id for one in claims if one.key])
    return [one for one in claims if one.id not in crossed]


def _handed_back_crossed(using: str, worker: str, ids: Sequence[int]) -> Collection[int]:
    """Give back what was claimed beside another delivery of the same key, and return the ids.

    A claim does not see one that is not committed yet: where an older delivery of the key has become ready meanwhile,
    since somebody redelivers it, another worker may have claimed that one. Each looks after its own claim is committed,
    so at least one of them sees the other. When both do and give both back, the older one is claimed first.
    """
    if not ids:
        return ()
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(statements.crossed(database_of(connection), len(ids)), ids)
        found = {row[0] for row in cursor.fetchall()}
    if found:
        hand_back(using, worker, found)
    return found


def _claimed_in_steps(connection: Any, chosen: str, parameters: Sequence[Any], taking: Sequence[Any]) -> list[Any]:
    """Claim where a database does not return what it updates."""
    database = database_of(connection)
    with transaction.atomic(connection.alias), connection.cursor() as cursor:
        cursor.execute(chosen, parameters)
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return []
        cursor.execute(statements.claim_of(database, len(ids)), [*taking, *ids])
        cursor.execute(statements.claimed_of(database, len(ids)), ids)
        return list(cursor.fetchall())


def renew_leases(using: str, workers: Collection[str]) -> None:
    """Renew the leases of what these workers have claimed.

    A locked row is skipped: the transaction that has written its outcome is about to commit, and no other worker can
    take it. On MariaDB and MySQL the time in a statement is when it began. So the SELECT waits for a lock on
    the table, and the UPDATE begins after it.
    """
    can_skip = connections[using].features.has_select_for_update_skip_locked
    running = Delivery.objects.using(using).filter(state=State.RUNNING, worker__in=workers)
    with writing(using):
        ids = [*running.select_for_update(skip_locked=can_skip).order_by("pk").values_list("pk", flat=True)]
        seconds = settings_of("default").lease.total_seconds()
        Delivery.objects.using(using).filter(pk__in=ids).update(leased_until=DatabaseLaterAtLast(seconds))


def hand_back(using: str, worker: str, ids: Collection[int] | None = None) -> int:
    """Give back what a worker has claimed, all or these ids, as if it had not claimed them; return how many."""
    running = Delivery.objects.using(using).filter(state=State.RUNNING, worker=worker)
    if ids is not None:
        running = running.filter(pk__in=ids)
    return running.update(state=State.READY, attempts=F("attempts") - 1, worker="", leased_until=None)


def rename(using: str, former: Mapping[str, str]) -> int:
    """Give the deliveries of renamed receivers the new names, also while they run; return how many."""
    rows = Delivery.objects.using(using).filter(state__in=UNFINISHED)
    return sum(rows.filter(receiver=old).update(receiver=new) for old, new in former.items())


def lost_workers(using: str) -> list[str]:
    """Return the workers whose leases have run out."""
    expired = Delivery.objects.using(using).filter(state=State.RUNNING, leased_until__lt=DatabaseNow())
    return [*expired.order_by().values_list("worker", flat=True).distinct()]
