"""Writing: transactions that look at the table before they write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from heliograph.outbox import sql


@contextmanager
def writing(using: str) -> Iterator[None]:
    """Begin a transaction with SQLite's lock to write: who reads first may find that another has written.

    Where transactions are "IMMEDIATE", they have it already.
    """
    connection: Any = connections[using]
    with transaction.atomic(using):
        if connection.vendor == "sqlite" and not connection.transaction_mode:
            with connection.cursor() as cursor:
                cursor.execute(sql.writing_nothing(connection.vendor))
        yield
