"""Transactions that read the table before they write it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from heliograph.databases import database_of
from heliograph.outbox import statements


@contextmanager
def writing(using: str) -> Iterator[None]:
    """Begin a transaction that reads and then writes.

    On SQLite, another one may write in between, and this one would be refused: it takes the lock for writing first,
    unless the setting `transaction_mode` has made it begin with the lock.
    """
    connection: Any = connections[using]
    with transaction.atomic(using):
        database = database_of(connection)
        if database.begins_as_reader(connection):
            with connection.cursor() as cursor:
                cursor.execute(statements.writing_nothing(database))
        yield
