"""The deliveries of a transaction are written by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from heliograph.databases import database_with_outbox
from heliograph.outbox import sql
from heliograph.outbox.notify import notifying
from heliograph.outbox.rows import DeliveryRow, values_of
from heliograph.outbox.send import key_locks
from heliograph.transactions.pending import hold_until_end


def enqueue(using: str, rows: Sequence[DeliveryRow]) -> None:
    """Write deliveries in the open transaction, and let their backends be notified after the commit."""
    if not apps.is_installed("heliograph.outbox"):
        raise ImproperlyConfigured(
            f"{rows[0].receiver} is connected with delivery=Durable(...), and there is no table for its deliveries: add"
            " 'heliograph.outbox' to INSTALLED_APPS, and migrate."
        )
    connection = connections[using]
    database = database_with_outbox(connection)
    keyed = [row for row in rows if row.key]
    locks = key_locks.locks_of(keyed) if keyed else []
    if locks:
        database.lock(connection, locks, partial(hold_until_end, connection))
    ids = database.insert(connection, sql.insertion(database), [*map(values_of, rows)], locks)
    notifying.notify_after_commit(using, rows, ids)
