"""Marks: how a row tells, after INSERT ... ON CONFLICT DO UPDATE, whether it was inserted or updated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Marks:
    """No marks: each row may have been inserted. Rows that were locked before the statement are known as updated."""

    connection: Any
    table: str  # its name, quoted

    columns = ""  # SQL that goes behind the columns of RETURNING

    def are_insertions(self, marks: Sequence[Sequence[Any]]) -> Sequence[bool]:
        """Return for each row, out of the values of `columns`, whether it may have been inserted."""
        return [True] * len(marks)


class OfTuples(Marks):
    """The marks of an ordinary table of PostgreSQL: `xmax` says that a row was locked, and so updated."""

    columns = ", (xmax = 0)"

    def are_insertions(self, marks: Sequence[Sequence[Any]]) -> Sequence[bool]:
        return [is_new for (is_new,) in marks]


class OfPlaces(Marks):
    """The marks of a partitioned table, whose RETURNING has no `xmax`: it is read at the places of the rows."""

    columns = ", tableoid, ctid"

    def are_insertions(self, marks: Sequence[Sequence[Any]]) -> Sequence[bool]:
        tables, places = ([mark[at] for mark in marks] for at in (0, 1))
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT one.xmax = 0 FROM unnest(%s::oid[], %s::tid[]) WITH ORDINALITY AS place (oid, tid, number)"
                f" LEFT JOIN {self.table} AS one ON one.tableoid = place.oid AND one.ctid = place.tid"
                " ORDER BY place.number",
                [tables, places],
            )
            return [is_new is not False for (is_new,) in cursor.fetchall()]  # None: a trigger has moved the row


_KINDS = {"r": OfTuples, "p": OfPlaces}  # tables and partitioned tables; views and foreign tables have no such columns


def insertion_marks(connection: Any, table: str) -> Marks:
    """Return the marks of the rows of a table.

    PostgreSQL is asked for the kind of the table at each write: a migration or the search path may put another table
    under the name.
    """
    name = connection.ops.quote_name(table)
    if connection.vendor != "postgresql":
        return Marks(connection, name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", [name])
        kind = next(iter(cursor.fetchone() or ()), "")
    return _KINDS.get(kind, Marks)(connection, name)
