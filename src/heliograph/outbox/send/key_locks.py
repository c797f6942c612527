"""Locking: transactions that write deliveries with one key wait for each other, so that these are numbered in the order
of the commits.

A transaction takes the locks of its keys after all other locks, since another one that waits for these may hold a row:
with a foreign key that was checked at the COMMIT, `select_for_update()` on the parent and the lock of a key deadlocked.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import Error, OperationalError

from heliograph.outbox import sql
from heliograph.outbox.rows import DeliveryRow
from heliograph.transactions.pending import hold_until_end

# How many locks all keys share: a server has memory for some thousands, and one import can have a million keys.
LOCKS = 1024


def locks_of(rows: Iterable[DeliveryRow]) -> list[int]:
    """Return the numbers of the locks for the keys of these rows, in the order in which every transaction takes them.

    Two keys may have the same one: then their transactions wait for each other, and nothing else happens.
    """
    return sorted({_lock_of(receiver, key) for receiver, key in {(row.receiver, row.key) for row in rows}})


def _lock_of(receiver: str, key: str) -> int:
    digest = hashlib.blake2b(f"{receiver} {key}".encode(), digest_size=8, person=b"heliograph").digest()
    return int.from_bytes(digest) % LOCKS


def prepare(connection: Any, locks: Sequence[int]) -> None:
    """Do what comes before deliveries with these locks are written.

    PostgreSQL takes the locks in the statement that writes, and SQLite has one writer, who needs none.
    """
    if connection.vendor == "postgresql":
        _check_deferred_constraints(connection)
    elif connection.vendor == "mysql":
        _lock(connection, [_name_of(connection, lock) for lock in locks])


def _check_deferred_constraints(connection: Any) -> None:
    """Check deferred constraints, such as Django's foreign keys, which lock rows of others."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if len(connection.atomic_blocks) > 1:  # a test, which goes on in this transaction
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")


# --- MariaDB and MySQL ------------------------------------------------------------------------------------------


def _name_of(connection: Any, lock: int) -> str:
    """Return the name of a lock: the server has them, so those of another database on it have other names."""
    return f"heliograph {zlib.crc32(connection.settings_dict['NAME'].encode()):08x} {lock}"


def _lock(connection: Any, names: Sequence[str]) -> None:
    """Take locks until the end of the transaction: the server would keep them for the session."""
    hold_until_end(connection, partial(_unlock, connection, names))  # also if only some of them can be had
    with connection.cursor() as cursor:
        cursor.execute(sql.locking(len(names)), [value for name in names for value in (name, _SECONDS_LOCKED)])
        if set(cursor.fetchone()) != {1}:
            raise OperationalError(f"The locks {', '.join(names)} were not free within {_SECONDS_LOCKED} s.")


_SECONDS_LOCKED = 50  # as long as InnoDB waits for a row unless it is told otherwise


def _unlock(connection: Any, names: Sequence[str]) -> None:
    with suppress(Error), connection.cursor() as cursor:  # one that was lost has no locks
        cursor.execute(sql.unlocking(len(names)), names)
