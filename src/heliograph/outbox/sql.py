"""The SQL of the few statements that run for every delivery, in the dialect of each database.

What an ORM would take to write them is a good part of what a delivery costs. States are written out, and no
parameters: a database uses a partial index where it sees that the condition of the index holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import NotSupportedError

from heliograph.outbox.installed_tables import delivery_model
from heliograph.outbox.rows import CLAIMED, INITIAL, SENT

CHANNEL = "heliograph_outbox"
OUR_LOCKS = int.from_bytes(b"heli")  # the first of the two numbers of an advisory lock: projects have locks too


@dataclass(frozen=True)
class Dialect:
    """How a database says things."""

    now: str  # the present time, by the clock of the database
    later: str  # the time after as many seconds as the parameter says
    # The same at the moment of writing: `now` is when the statement began, which may have waited for a lock since. An
    # index can be searched for `now` only. MariaDB and MySQL have no such clock, and write after they have the locks.
    now_at_last: str
    later_at_last: str
    quote: str


_FORMAT = "'%%Y-%%m-%%d %%H:%%M:%%f'"  # in which SQLite's texts compare with those that Django writes
_DIALECTS = {
    "postgresql": Dialect(
        "statement_timestamp()",
        "statement_timestamp() + %s * interval '1 second'",
        "clock_timestamp()",
        "clock_timestamp() + %s * interval '1 second'",
        '"',
    ),
    "mysql": Dialect(*("UTC_TIMESTAMP(6)", "UTC_TIMESTAMP(6) + INTERVAL %s SECOND") * 2, "`"),
    "sqlite": Dialect(*(f"strftime({_FORMAT}, 'now')", f"strftime({_FORMAT}, 'now', %s || ' seconds')") * 2, '"'),
}


def dialect_of(vendor: str) -> Dialect:
    """Return the dialect of a database; NotSupportedError for one that the outbox does not know."""
    if vendor not in _DIALECTS:
        raise NotSupportedError(f"The outbox runs on {', '.join(_DIALECTS)}, and not on {vendor}.")
    return _DIALECTS[vendor]


def duration(vendor: str, seconds: float) -> Any:
    """Return so many seconds, or as many ago if they are negative, as the parameter of `Dialect.later`."""
    return f"{seconds:+.6f}" if vendor == "sqlite" else seconds


@cache
def table(vendor: str) -> str:
    """Return the name of the table, in quotes."""
    quote = dialect_of(vendor).quote
    return f"{quote}{delivery_model()._meta.db_table}{quote}"


# --- writing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Insertion:
    """The parts of the statement that writes deliveries, and that returns their ids if the database can."""

    head: str
    row: str  # of which there is one for each delivery
    tail: str

    def of(self, count: int) -> str:
        """Return the statement for so many deliveries."""
        return f"{self.head}{', '.join([self.row] * count)}{self.tail}"


@cache
def insertion_from_json(vendor: str) -> str:
    """Return the statement whose one parameter is JSON, a list of the values of SENT for each delivery."""
    values = ", ".join(f"json_extract(value, '$[{at}]')" for at in range(len(SENT)))
    return f"{_into(vendor, SENT)} SELECT {values}, {_initial(vendor)} FROM json_each(%s) WHERE true RETURNING id"


@cache
def insertion(vendor: str, *, returns: bool) -> Insertion:
    """Return the statement with a parameter for each value."""
    row = f"({_places(len(SENT))}, {_initial(vendor)})"
    return Insertion(f"{_into(vendor, SENT)} VALUES ", row, " RETURNING id" if returns else "")


@cache
def insertion_of_columns(same: Sequence[str], others: Sequence[str], *, is_keyed: bool) -> Insertion:
    """Return the statement of PostgreSQL.

    The columns `same` have one value for all deliveries: their parameters come first, and then those of the `others`
    for each. Before all of them, if some have keys, is a list of locks: so those of a key are numbered as they are
    committed.
    """
    locks, held = (_LOCKS, ", held") if is_keyed else ("", "")
    values = ", ".join([*["%s"] * len(same), *_quoted("postgresql", others), _initial("postgresql")])
    return Insertion(
        f"{locks}{_into('postgresql', (*same, *others))} SELECT {values} FROM (VALUES ",
        f"({_places(len(others))})",
        f") AS given ({', '.join(_quoted('postgresql', others))}){held} RETURNING id",
    )


_LOCKS = (
    f"WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock({OUR_LOCKS}, lock)"
    " FROM (SELECT unnest(%s::int[]) AS lock ORDER BY 1) AS locks),"
    " held AS MATERIALIZED (SELECT count(*) FROM locked) "
)


def _into(vendor: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table(vendor)} ({', '.join(_quoted(vendor, (*columns, *INITIAL)))})"


def _initial(vendor: str) -> str:
    return ", ".join(INITIAL.values()).format(now=dialect_of(vendor).now)


@cache
def locking(count: int) -> str:
    """Return the statement that takes so many locks on MariaDB and MySQL: a name and seconds for each."""
    return f"SELECT {', '.join(['GET_LOCK(%s, %s)'] * count)}"


@cache
def unlocking(count: int) -> str:
    """Return the statement that gives locks back, by their names."""
    return f"DO {', '.join(['RELEASE_LOCK(%s)'] * count)}"


# --- claiming ---------------------------------------------------------------------------------------------------


@cache
def due(vendor: str, receivers: int, backends: int, queues: int) -> str:
    """Return the query for the ids of deliveries that may be claimed, which locks their rows.

    The parameters are the receivers, the backends, the queues (none are all), and how many at most. Rows that somebody
    else has locked are left out: there are others.
    """
    of_queues = f" AND one.queue IN ({_places(queues)})" if queues else ""
    of_backends = f" AND one.backend IN ({_places(backends)})"
    locking = f"{_LOCKING[vendor]} SKIP LOCKED" if _LOCKING[vendor] else ""
    chosen = f"{_may_be_claimed(vendor, receivers)}{of_backends}{of_queues}"
    return f"{chosen} ORDER BY one.due_at, one.id LIMIT %s{locking}"


@cache
def one_due(vendor: str, receivers: int) -> str:
    """Return the same for one delivery, whoever its backend and its queue: the parameters are the receivers, its id.

    It waits for a lock on the row: a worker of Celery is notified once, and a sweep may be marking the row just then.
    """
    return f"{_may_be_claimed(vendor, receivers)} AND one.id = %s{_LOCKING[vendor]}"


# SQLite has one lock, that of the whole database.
_LOCKING = {"postgresql": " FOR NO KEY UPDATE OF one", "mysql": " FOR UPDATE", "sqlite": ""}


def _may_be_claimed(vendor: str, receivers: int) -> str:
    """Return the query of what may be claimed.

    Of those with a key, only the oldest that is not finished may be, and none while another one runs.
    """
    name, now = table(vendor), dialect_of(vendor).now
    (key,) = _quoted(vendor, ["key"])
    return (
        f"SELECT one.id FROM {name} one WHERE one.state = 'READY' AND one.due_at <= {now}"
        f" AND one.receiver IN ({_places(receivers)})"
        f" AND (one.{key} = '' OR NOT EXISTS (SELECT 1 FROM {name} other"
        f" WHERE other.receiver = one.receiver AND other.{key} = one.{key} AND NOT (other.{key} = '')"
        " AND other.state IN ('READY', 'RUNNING')"
        " AND ((other.state = 'READY' AND other.id < one.id) OR (other.state = 'RUNNING' AND other.id <> one.id))))"
    )


@cache
def claim_at_once(vendor: str, chosen: str) -> str:
    """Return the one statement that claims what a query finds: parameters are those of the query, worker and lease.

    It is for databases that return what they update.
    """
    columns = ", ".join(_quoted(vendor, CLAIMED))
    return (
        f"WITH due AS MATERIALIZED ({chosen}) UPDATE {table(vendor)} SET {_claim(vendor)}"
        f" WHERE id IN (SELECT id FROM due) RETURNING {columns}"
    )


@cache
def claim_of(vendor: str, count: int) -> str:
    """Return the statement that claims deliveries that are locked: parameters are worker, lease and their ids."""
    return f"UPDATE {table(vendor)} SET {_claim(vendor)} WHERE id IN ({_places(count)})"


@cache
def claimed_of(vendor: str, count: int) -> str:
    """Return the query of what was claimed, by ids."""
    return (
        f"SELECT {', '.join(_quoted(vendor, CLAIMED))} FROM {table(vendor)} WHERE id IN ({_places(count)}) ORDER BY id"
    )


@cache
def crossed(vendor: str, count: int) -> str:
    """Return the query of those of so many claimed deliveries beside which another one of the same key runs."""
    name = table(vendor)
    (key,) = _quoted(vendor, ["key"])
    return (
        f"SELECT one.id FROM {name} one WHERE one.id IN ({_places(count)}) AND EXISTS (SELECT 1 FROM {name} other"
        f" WHERE other.receiver = one.receiver AND other.{key} = one.{key} AND NOT (other.{key} = '')"
        " AND other.state IN ('READY', 'RUNNING') AND other.state = 'RUNNING' AND other.id <> one.id)"
    )


def _claim(vendor: str) -> str:
    dialect = dialect_of(vendor)
    return (
        f"state = 'RUNNING', attempts = attempts + 1, worker = %s, claimed_at = {dialect.now_at_last},"
        f" leased_until = {dialect.later_at_last}"
    )


# --- afterwards -------------------------------------------------------------------------------------------------

# What must be so of a delivery for its worker to write what became of it: parameters are id, worker and attempt.
FENCE = "id = %s AND state = 'RUNNING' AND worker = %s AND attempts = %s"


@cache
def writing_nothing(vendor: str) -> str:
    """Return a statement that writes to no row."""
    return f"UPDATE {table(vendor)} SET worker = worker WHERE id = 0"


@cache
def success(vendor: str) -> str:
    """Return the statement that writes that a delivery has succeeded; its parameters are those of FENCE."""
    now = dialect_of(vendor).now
    return f"UPDATE {table(vendor)} SET state = 'SUCCESSFUL', finished_at = {now}, leased_until = NULL WHERE {FENCE}"


def _places(count: int) -> str:
    return ", ".join(["%s"] * count)


def _quoted(vendor: str, names: Sequence[str]) -> list[Any]:
    quote = dialect_of(vendor).quote
    return [f"{quote}{name}{quote}" for name in names]
