"""Marks: columns that say, after INSERT ... ON CONFLICT DO UPDATE, whether a row was inserted or updated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.bulk.tables import kind_of


@dataclass(frozen=True)
class Marks:
    """No marks: each row may have been inserted, unless it was locked before the statement."""

    connection: Any
    table: str  # its name, quoted

    columns = ""  # SQL, appended to the columns of RETURNING

    def are_insertions(self, marks: Sequence[Sequence[Any]]) -> Sequence[bool]:
        """Return for each row whether it may have been inserted, from its values of `columns`."""
        return [True] * len(marks)


class OfTuples(Marks):
    """The marks of an ordinary table of PostgreSQL: `xmax` is not 0 if the row was locked, and so updated."""

    columns = ", (xmax = 0)"

    def are_insertions(self, marks: Sequence[Sequence[Any]]) -> Sequence[bool]:
        return [is_new for (is_new,) in marks]


class OfPlaces(Marks):
    """The marks of a partitioned table: RETURNING has no `xmax` there, so a query reads it at the rows' places."""

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

    A query asks PostgreSQL for the kind of the table at each write, since a migration or a search path may give the
    name to another table.
    """
    kind = kind_of(connection, table) if connection.vendor == "postgresql" else ""
    return _KINDS.get(kind, Marks)(connection, connection.ops.quote_name(table))
