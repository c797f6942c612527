"""Notices: after the commit, a process wakes idle workers by PostgreSQL's NOTIFY.

NOTIFY is sent in a transaction of its own. A transaction that commits with a NOTIFY holds a lock of the whole server
until its log is on disk, so that commits run one at a time. A NOTIFY alone writes nothing to the log, and holds that
lock for some microseconds.
"""

from __future__ import annotations

from time import monotonic

from django.db import connections

from heliograph.databases import database_of
from heliograph.outbox.statements import CHANNEL

# After a notice, a process sends none for 50 times as long as that one took. So notices take a fiftieth of its time at
# most, however busy the server is. The workers that the last notice has woken look again soon by themselves.
_SHARE = 50
_LONGEST_PAUSE = 5.0  # seconds, in which workers look once a second

# When this process may send the next notice, by the alias of the database and the queue.
_next: dict[tuple[str, str], float] = {}


def wake(using: str, queue: str) -> None:
    """Wake the idle workers of a queue, unless this process has just done so, or its transaction is still open."""
    connection, began = connections[using], monotonic()
    if began < _next.get((using, queue), 0.0) or not connection.get_autocommit():
        return
    _next[using, queue] = began + _LONGEST_PAUSE  # meanwhile, other threads send none
    database_of(connection).notify(connection, CHANNEL, queue)
    ended = monotonic()
    _next[using, queue] = ended + min(_SHARE * (ended - began), _LONGEST_PAUSE)
