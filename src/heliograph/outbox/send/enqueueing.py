"""Enqueueing: the one statement that writes the deliveries of a transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from heliograph.outbox import sql
from heliograph.outbox.notify import notifying
from heliograph.outbox.rows import SENT, DeliveryRow, values_of
from heliograph.outbox.send import key_locks


def enqueue(using: str, rows: Sequence[DeliveryRow]) -> None:
    """Write deliveries in the transaction that is open, and tell backends that want to know after its commit."""
    if not apps.is_installed("heliograph.outbox"):
        raise ImproperlyConfigured(
            f"{rows[0].receiver} is connected with delivery=Durable(...), and there is no table for its deliveries: add"
            " 'heliograph.outbox' to INSTALLED_APPS, and migrate."
        )
    connection = connections[using]
    keyed = [row for row in rows if row.key]
    locks = key_locks.locks_of(keyed) if keyed else []
    if locks:
        key_locks.prepare(connection, locks)
    ids: list[int] = []
    for some in _in_chunks(connection, rows):
        ids += _written(connection, some, locks)
    notifying.tell_after_commit(using, rows, ids)


def _in_chunks(connection: Any, rows: Sequence[DeliveryRow]) -> list[Sequence[DeliveryRow]]:
    """Return as many rows at once as one statement takes, which is mostly all of them."""
    most = len(rows) if connection.vendor == "sqlite" else _MOST_PARAMETERS // len(SENT)
    return [rows[start : start + most] for start in range(0, len(rows), most)]


_MOST_PARAMETERS = 2**16 - 1  # of PostgreSQL and MariaDB, where the parameters are sent by themselves


def _written(connection: Any, rows: Sequence[DeliveryRow], locks: Sequence[int]) -> list[int]:
    """Write deliveries by one statement, and return their ids in the same order."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            return _write_columns(cursor, rows, locks)
        write = _write_json if connection.vendor == "sqlite" else _write
        return write(connection, cursor, rows)


def _write_json(connection: Any, cursor: Any, rows: Sequence[DeliveryRow]) -> list[int]:
    cursor.execute(sql.insertion_from_json(connection.vendor), [json.dumps([*map(values_of, rows)])])
    return [row[0] for row in cursor.fetchall()]


def _write_columns(cursor: Any, rows: Sequence[DeliveryRow], locks: Sequence[int]) -> list[int]:
    """Write on PostgreSQL: what all rows have in common is there once, since the driver works on each parameter."""
    values = [*map(values_of, rows)]
    first = values[0]
    columns = zip(*values, strict=True)
    varying = [at for at, column in enumerate(columns) if column.count(first[at]) < len(rows)] or [0]
    same = [at for at in range(len(first)) if at not in varying]
    statement = sql.insertion_of_columns(_names(same), _names(varying), is_keyed=bool(locks))
    parameters = [*(first[at] for at in same), *(row[at] for row in values for at in varying)]
    cursor.execute(statement.of(len(rows)), [locks, *parameters] if locks else parameters)
    return [row[0] for row in cursor.fetchall()]


def _names(places: Sequence[int]) -> tuple[str, ...]:
    return tuple(SENT[at] for at in places)


def _write(connection: Any, cursor: Any, rows: Sequence[DeliveryRow]) -> list[int]:
    """Write on MariaDB, or on MySQL, which returns nothing but the first id."""
    returns = connection.features.can_return_columns_from_insert
    statement = sql.insertion(connection.vendor, returns=returns).of(len(rows))
    cursor.execute(statement, [value for row in rows for value in values_of(row)])
    if not returns:
        return [*range(cursor.lastrowid, cursor.lastrowid + len(rows))]
    return [row[0] for row in cursor.fetchall()]
