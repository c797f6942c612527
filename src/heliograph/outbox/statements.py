"""The SQL of the few statements that run for every delivery, made of the pieces that each database gives.

What an ORM would take to write them is a good part of what a delivery costs. States are written out, and no
parameters: a database uses a partial index where it sees that the condition of the index holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from heliograph.databases.general import Database
from heliograph.databases.pieces import Insertion
from heliograph.outbox.delivery_rows import CLAIMED, INITIAL, SENT
from heliograph.outbox.installed_tables import delivery_model

CHANNEL = "heliograph_outbox"


@cache
def table(database: Database) -> str:
    """Return the name of the table, in quotes."""
    return database.quoted(delivery_model()._meta.db_table)


# --- writing ----------------------------------------------------------------------------------------------------


@cache
def insertion(database: Database) -> Insertion:
    """Return the columns of deliveries that are inserted."""
    constants = {database.quoted(name): value.format(now=database.clock.now) for name, value in INITIAL.items()}
    return Insertion(table(database), _quoted(database, SENT), constants)


# --- claiming ---------------------------------------------------------------------------------------------------


@cache
def due(database: Database, receivers: int, backends: int, queues: int) -> str:
    """Return the query for the ids of deliveries that may be claimed, which locks their rows.

    The parameters are the receivers, the backends, the queues (none means all), and the largest number of rows. Rows
    that another transaction has locked are skipped, since there are others.
    """
    of_queues = f" AND one.queue IN ({_marks(queues)})" if queues else ""
    of_backends = f" AND one.backend IN ({_marks(backends)})"
    chosen = f"{_may_be_claimed(database, receivers)}{of_backends}{of_queues}"
    return f"{chosen} ORDER BY one.due_at, one.id LIMIT %s{database.row_lock('one', skips_locked=True)}"


@cache
def one_due(database: Database, receivers: int) -> str:
    """Return the same query for one delivery of any backend and queue: the parameters are the receivers and its id.

    It waits for a lock on the row: a worker of Celery is notified once, and a sweep may be marking the row just then.
    """
    return f"{_may_be_claimed(database, receivers)} AND one.id = %s{database.row_lock('one')}"


def _may_be_claimed(database: Database, receivers: int) -> str:
    """Return the query for the deliveries that may be claimed.

    Of the deliveries with one key, only the oldest unfinished one may be claimed, and none while another one runs.
    """
    name, now = table(database), database.clock.now
    (key,) = _quoted(database, ["key"])
    return (
        f"SELECT one.id FROM {name} one WHERE one.state = 'READY' AND one.due_at <= {now}"
        f" AND one.receiver IN ({_marks(receivers)})"
        f" AND (one.{key} = '' OR NOT EXISTS (SELECT 1 FROM {name} other"
        f" WHERE other.receiver = one.receiver AND other.{key} = one.{key} AND NOT (other.{key} = '')"
        " AND other.state IN ('READY', 'RUNNING')"
        " AND ((other.state = 'READY' AND other.id < one.id) OR (other.state = 'RUNNING' AND other.id <> one.id))))"
    )


@cache
def claim_at_once(database: Database, chosen: str) -> str:
    """Return a statement that claims what a query finds; it takes the parameters of the query, worker and lease.

    It is for databases that return what they update.
    """
    columns = ", ".join(_quoted(database, CLAIMED))
    return (
        f"WITH due AS MATERIALIZED ({chosen}) UPDATE {table(database)} SET {_claim(database)}"
        f" WHERE id IN (SELECT id FROM due) RETURNING {columns}"
    )


@cache
def claim_of(database: Database, count: int) -> str:
    """Return the statement that claims locked deliveries: its parameters are worker, lease and ids."""
    return f"UPDATE {table(database)} SET {_claim(database)} WHERE id IN ({_marks(count)})"


@cache
def claimed_of(database: Database, count: int) -> str:
    """Return the query that reads the claimed deliveries with these ids."""
    columns = ", ".join(_quoted(database, CLAIMED))
    return f"SELECT {columns} FROM {table(database)} WHERE id IN ({_marks(count)}) ORDER BY id"


@cache
def crossed(database: Database, count: int) -> str:
    """Return the query for the claimed deliveries beside which another one with the same key runs."""
    name = table(database)
    (key,) = _quoted(database, ["key"])
    return (
        f"SELECT one.id FROM {name} one WHERE one.id IN ({_marks(count)}) AND EXISTS (SELECT 1 FROM {name} other"
        f" WHERE other.receiver = one.receiver AND other.{key} = one.{key} AND NOT (other.{key} = '')"
        " AND other.state IN ('READY', 'RUNNING') AND other.state = 'RUNNING' AND other.id <> one.id)"
    )


def _claim(database: Database) -> str:
    clock = database.clock
    return (
        f"state = 'RUNNING', attempts = attempts + 1, worker = %s, claimed_at = {clock.now_at_last},"
        f" leased_until = {clock.later_at_last}"
    )


# --- afterwards -------------------------------------------------------------------------------------------------

# The condition under which a worker may record an outcome: it still has the delivery. Parameters: id, worker, attempt.
FENCE = "id = %s AND state = 'RUNNING' AND worker = %s AND attempts = %s"


@cache
def success(database: Database) -> str:
    """Return the statement that writes that a delivery has succeeded; it takes the parameters of FENCE."""
    now = database.clock.now
    return f"UPDATE {table(database)} SET state = 'SUCCESSFUL', finished_at = {now}, leased_until = NULL WHERE {FENCE}"


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def _quoted(database: Database, names: Sequence[str]) -> list[Any]:
    return [*map(database.quoted, names)]
