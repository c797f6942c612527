"""The rows of a transaction are written before its commit, by one statement."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from heliograph.context.context_text import text_of_batch, text_of_context
from heliograph.context.kept_context import EMPTY
from heliograph.databases import database_with_outbox
from heliograph.dispatch import Call
from heliograph.dispatch.observed_calls import notify
from heliograph.dispatch.scopes import current
from heliograph.outbox import statements
from heliograph.outbox.delivery_rows import DeliveryRow, values_of
from heliograph.outbox.events import EnqueuedRows
from heliograph.outbox.installed_tables import DELIVERIES
from heliograph.outbox.notify.notifying import notify_after_commit
from heliograph.outbox.payload.errors import UnsavedError
from heliograph.outbox.send import key_locks
from heliograph.outbox.send.storing import StoredCall, durable_of, refusal, stored_call
from heliograph.transactions.batches import Batch
from heliograph.transactions.collect import Received
from heliograph.transactions.net import BatchCall, together
from heliograph.transactions.pending import Pending, hold_until_end

logger = logging.getLogger("heliograph.outbox")


def write(due: Sequence[Pending]) -> None:
    """Write the rows of these calls, in one statement for each database."""
    rows, texts = dict[str, list[DeliveryRow]](), dict[int, str]()
    for one in due:
        call = one.call if isinstance(one.call, StoredCall) else stored_at_last(one.call, one.using)
        if call is not None:
            rows.setdefault(one.using, []).append(row_with_context(call, texts))
    for using, of_database in rows.items():
        if DELIVERIES.are_awaited(using):
            logger.info("migrate has not made the table yet: %d calls on %r are left out", len(of_database), using)
        else:
            _enqueue(using, of_database)


def row_with_context(call: StoredCall, texts: dict[int, str]) -> DeliveryRow:
    """Return the row of a call with its context. `texts` has the texts that are made already, by ids of contexts."""
    if call.context is EMPTY:
        return call.row
    context, batch = call.context, call.payload.get("batch")
    if isinstance(batch, Batch):
        return replace(call.row, context=text_of_batch(context, [event.context for event in batch.events]))
    if id(context) not in texts:
        texts[id(context)] = text_of_context(context)
    return replace(call.row, context=texts[id(context)])


def _enqueue(using: str, rows: Sequence[DeliveryRow]) -> None:
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
    ids = database.insert(connection, statements.insertion(database), [*map(values_of, rows)], locks)
    notify_after_commit(using, rows, ids, database)
    if scopes := current():
        notify(scopes, EnqueuedRows(using, rows))


# --- calls that could not get their row when they were sent -----------------------------------------------------


def stored_at_last(call: Any, using: str) -> StoredCall | None:
    """Return a call of a batch, or one whose instance had no key, with its row; None for an empty batch."""
    if isinstance(call, Received):  # tests may make the pending calls one by one
        call = together([call])
    if isinstance(call, BatchCall):
        return _stored_batch(call, using)
    try:
        return stored_call(call, durable_of(call), using, call.context, call.primary_key)
    except UnsavedError as error:
        raise refusal(durable_of(call), call, error) from None


def _stored_batch(call: BatchCall, using: str) -> StoredCall | None:
    found = call.batch_and_handling()
    if found is None:
        return None
    batch, _ = found
    whole = Call(call.receiver, {**call.payload, "batch": batch})
    return stored_call(whole, durable_of(call.sends[0]), using, call.context)
