"""Partitions of the table of entries, by ranges of their ids: the first ones, and those for the next entries."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, OperationalError, connections
from django.db.models import Max

from heliograph.audit.chain import locked_chain, rows
from heliograph.audit.models import Entry
from heliograph.audit.row_protection import protect
from heliograph.databases import database_of
from heliograph.databases.pieces import Partition

SIZE = 1_000_000  # ids of a partition
AHEAD = 2  # empty partitions that are ready for the next entries

TABLE = Entry._meta.db_table


class PartitionError(Exception):
    """The table of entries cannot be partitioned, or not now."""


def partition(using: str, size: int | None = None, ahead: int = AHEAD) -> tuple[bool, int]:
    """Partition the table of entries if it is not yet, and make the partitions for the next entries.

    Return whether it was partitioned now, and how many partitions were made. Without a size, new partitions have that
    of the newest.
    """
    connection = connections[using]
    database = database_of(connection)
    if not database.has_partitions:
        raise PartitionError(
            f"Partitions of the audit log are for PostgreSQL, and {using!r} is {connection.display_name}."
        )
    try:
        is_new = not database.partitions(connection, TABLE)
        if is_new:
            _convert(using, size or SIZE)
        return is_new, add_partitions(using, size, ahead)
    except OperationalError as error:
        if not database.is_lock_timeout(error):
            raise
        text = (
            "The table of entries was not locked in time: end the transactions that use it, or run the command again."
        )
        raise PartitionError(text) from error


def add_partitions(using: str, size: int | None = None, ahead: int = AHEAD) -> int:
    """Make the partitions that are missing for the next entries of a partitioned table; return how many."""
    connection = connections[using]
    database, count = database_of(connection), 0
    if len(_empty(using)) >= ahead:
        return 0
    with locked_chain(using):
        newest = _newest(using)
        length = size or (SIZE if newest.first is None else (newest.end or 0) - newest.first)
        first, last = newest.end or 0, database.last_id(connection, TABLE)
        if last >= first:  # the default partition has entries
            first = (last // length + 1) * length
        for _ in range(ahead - len(_empty(using))):
            database.add_partition(connection, TABLE, first, first + length)
            first, count = first + length, count + 1
        _protect_again(using)
    return count


def is_partitioned(using: str) -> bool:
    """Return whether the table of entries has partitions."""
    connection = connections[using]
    return bool(database_of(connection).partitions(connection, TABLE))


def _convert(using: str, size: int) -> None:
    connection = connections[using]
    database = database_of(connection)
    _refuse_hindrances(using)
    # The partition of today's entries has room for as many ids as another one, also while the database reads them.
    highest = rows(Entry, using).aggregate(highest=Max("id"))["highest"] or 0
    end = (max(database.last_id(connection, TABLE), highest) // size + 2) * size
    try:
        with database.bounded(connection, TABLE, end), locked_chain(using):
            _refuse_hindrances(using)
            is_protected = database.is_protected(connection, TABLE)
            database.partition(connection, TABLE, end)
            if is_protected:
                protect(using)
    except DatabaseError:
        _refuse_hindrances(using)  # another process has been faster, and has taken the limit of ids away
        raise


def _refuse_hindrances(using: str) -> None:
    connection = connections[using]
    if is_partitioned(using):
        raise PartitionError("Another process has just partitioned the table of entries.")
    hindrances = database_of(connection).partition_hindrances(connection, TABLE)
    if hindrances:
        text = "They would stay with the entries of today and not know of other partitions: remove them first."
        raise PartitionError(f"The table of entries has {' and '.join(hindrances)}. {text}")


def _protect_again(using: str) -> None:
    """Protect new partitions if the table is protected."""
    connection = connections[using]
    if database_of(connection).is_protected(connection, TABLE):
        protect(using)


def _newest(using: str) -> Partition:
    connection = connections[using]
    ranges = [one for one in database_of(connection).partitions(connection, TABLE) if one.end is not None]
    return ranges[-1] if ranges else Partition("", None, 0)


def _empty(using: str) -> list[Any]:
    """Return the partitions whose ids are all still to be given."""
    connection = connections[using]
    database = database_of(connection)
    last = database.last_id(connection, TABLE)
    found = database.partitions(connection, TABLE)
    return [one for one in found if one.first is not None and one.first > last]
