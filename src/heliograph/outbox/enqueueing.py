"""Enqueueing: the one statement that writes the deliveries of a transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, OperationalError, connections

from heliograph.outbox import sql, telling
from heliograph.transactions.ledger import hold_until_end


class Row(NamedTuple):
    """What is written of a delivery, in the order of `sql.COLUMNS`; the rest is the same for all."""

    backend: str
    queue: str
    receiver: str
    signal: str
    sender: str
    key: str
    payload: str


def enqueue(using: str, rows: Sequence[Row]) -> None:
    """Write deliveries in the transaction that is open, and tell backends that want to know after its commit."""
    if not apps.is_installed("heliograph.outbox"):
        raise ImproperlyConfigured(
            f"{rows[0].receiver} is connected with delivery=Durable(...), and there is no table for its deliveries: add"
            " 'heliograph.outbox' to INSTALLED_APPS, and migrate."
        )
    connection = connections[using]
    ids: list[int] = []
    for some in _in_chunks(connection, rows):
        ids += _written(connection, some)
    telling.tell_after_commit(using, rows, ids)


def _in_chunks(connection: Any, rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Return as many rows at once as one statement takes, which is mostly all of them."""
    most = len(rows) if connection.vendor == "sqlite" else _MOST_PARAMETERS // len(Row._fields)
    return [rows[start : start + most] for start in range(0, len(rows), most)]


_MOST_PARAMETERS = 2**16 - 1  # of PostgreSQL and MariaDB, where the parameters are sent by themselves


def _written(connection: Any, rows: Sequence[Row]) -> list[int]:
    """Write deliveries by one statement, and return their ids in the same order."""
    write = {"sqlite": _write_json, "postgresql": _write_with_notice}.get(connection.vendor, _write)
    with connection.cursor() as cursor:
        return write(connection, cursor, rows)


def _write_json(connection: Any, cursor: Any, rows: Sequence[Row]) -> list[int]:
    cursor.execute(sql.insertion_from_json(connection.vendor), [json.dumps(rows)])
    return [row[0] for row in cursor.fetchall()]


def _write_with_notice(connection: Any, cursor: Any, rows: Sequence[Row]) -> list[int]:
    """Write on PostgreSQL: what all rows have in common is there once, since the driver works on each parameter."""
    first = rows[0]
    columns = zip(*rows, strict=True)
    varying = [at for at, column in enumerate(columns) if column.count(first[at]) < len(rows)] or [0]
    same = [at for at in range(len(first)) if at not in varying]
    locks = {_lock_of(row) for row in rows if row.key}
    statement = sql.insertion_with_notice(_names(same), _names(varying), is_keyed=bool(locks))
    values = [*(first[at] for at in same), *(row[at] for row in rows for at in varying)]
    cursor.execute(statement.of(len(rows)), [[*locks], *values] if locks else values)
    return [row[0] for row in cursor.fetchall()]


def _names(places: Sequence[int]) -> tuple[str, ...]:
    return tuple(sql.COLUMNS[at] for at in places)


def _write(connection: Any, cursor: Any, rows: Sequence[Row]) -> list[int]:
    """Write on MariaDB, or on MySQL, which returns nothing but the first id."""
    if keyed := {f"heliograph {_lock_of(row)}" for row in rows if row.key}:
        _lock(connection, sorted(keyed))
    returns = connection.features.can_return_columns_from_insert
    statement = sql.insertion(connection.vendor, returns=returns).of(len(rows))
    cursor.execute(statement, [value for row in rows for value in row])
    if not returns:
        return [*range(cursor.lastrowid, cursor.lastrowid + len(rows))]
    return [row[0] for row in cursor.fetchall()]


def _lock(connection: Any, names: Sequence[str]) -> None:
    """Take the locks of keys until the end of the transaction: so those of a key are numbered as they are committed.

    MariaDB and MySQL keep them for the session. In their order, no two transactions wait for each other.
    """
    hold_until_end(connection, partial(_unlock, connection, names))  # also if only some of them can be had
    with connection.cursor() as cursor:
        cursor.execute(sql.locking(len(names)), [value for name in names for value in (name, _SECONDS_LOCKED)])
        if set(cursor.fetchone()) != {1}:
            raise OperationalError(f"The locks {', '.join(names)} were not free within {_SECONDS_LOCKED} s.")


_SECONDS_LOCKED = 50  # as long as InnoDB waits for a row unless it is told otherwise


def _unlock(connection: Any, names: Sequence[str]) -> None:
    with suppress(Error), connection.cursor() as cursor:  # one that was lost has no locks
        cursor.execute(sql.unlocking(len(names)), names)


def _lock_of(row: Row) -> int:
    """Return the number of the lock of a key: 64 bits with a sign, as PostgreSQL has them."""
    digest = hashlib.blake2b(f"{row.receiver} {row.key}".encode(), digest_size=8, person=b"heliograph").digest()
    return int.from_bytes(digest, signed=True)
