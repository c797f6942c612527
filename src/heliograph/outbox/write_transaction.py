"""Transactions that read the table before they write it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.db import connections, transaction

from heliograph.changes.row_locks import locking_block
from heliograph.outbox.models import Delivery


def writing(using: str) -> AbstractContextManager[None]:
    """Return a transaction that reads deliveries and then writes them.

    On SQLite it takes the lock for writing first: after it has read, another transaction may write, and SQLite would
    refuse the writes of this one.
    """
    return locking_block(connections[using], transaction.atomic(using), Delivery)
