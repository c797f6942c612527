"""Notices: on PostgreSQL, a process wakes the workers that wait for deliveries by NOTIFY, after the commit.

A transaction that commits with a NOTIFY holds a lock of the whole server until its log is on disk, so that commits run
one at a time. By itself, NOTIFY writes nothing to the log, and holds that lock for some microseconds.
"""

from __future__ import annotations

from time import monotonic

from django.db import connections

from heliograph.databases import database_of
from heliograph.outbox.sql import CHANNEL

# A process waits after each notice for so many times as long as that took: so notices take a fiftieth of its time at
# most, however busy the server is. The workers that the last notice has woken look again soon by themselves.
_SHARE = 50
_LONGEST_PAUSE = 5.0  # seconds, in which workers look once a second

# When this process may send the next notice, by the alias of the database and the queue.
_next: dict[tuple[str, str], float] = {}


def notify(using: str, queue: str) -> None:
    """Wake the workers of a queue, unless this process has just done so or its transaction is still open."""
    connection, began = connections[using], monotonic()
    if began < _next.get((using, queue), 0.0) or not connection.get_autocommit():
        return
    _next[using, queue] = began + _LONGEST_PAUSE  # other threads leave it to this one
    database_of(connection).notify(connection, CHANNEL, queue)
    ended = monotonic()
    _next[using, queue] = ended + min(_SHARE * (ended - began), _LONGEST_PAUSE)
