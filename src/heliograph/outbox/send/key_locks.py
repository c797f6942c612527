"""Locks for keys: transactions that write deliveries with the same key wait for each other, so that the ids have the
order of the commits.

A transaction takes the locks of its keys after all other locks, since another one that waits for these may hold a row:
with a foreign key that was checked at the COMMIT, `select_for_update()` on the parent and the lock of a key deadlocked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from heliograph.outbox.delivery_rows import DeliveryRow

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
