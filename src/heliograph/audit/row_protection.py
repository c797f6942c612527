"""Protection of the audit log by triggers of the database: of its tables, and of the partitions of entries."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections, transaction

from heliograph.audit.chain import TABLES
from heliograph.audit.models import Entry
from heliograph.databases import database_of


def protect(using: str) -> None:
    """Let the database refuse to change or delete rows of the audit log."""
    _execute(using, database_of(connections[using]).protection(_tables(using)))


def unprotect(using: str) -> None:
    """Let the database allow it again."""
    _execute(using, database_of(connections[using]).without_protection(_tables(using)))


def _tables(using: str) -> Sequence[str]:
    """Return the tables; a statement for a partition calls no trigger of the whole table."""
    connection = connections[using]
    partitions = database_of(connection).partitions(connection, Entry._meta.db_table)
    return [*TABLES, *(one.name for one in partitions)]


def _execute(using: str, statements: Sequence[str]) -> None:
    with transaction.atomic(using), connections[using].cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)
