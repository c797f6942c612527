"""PostgreSQL, and what is built on it and has its vendor, such as PostGIS."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP
from typing import Any

from heliograph.databases.general import Database
from heliograph.databases.pieces import PLACE_NUMBER, SQL, Marks


class PostgreSQL(Database):
    """PostgreSQL, by psycopg or psycopg2."""

    vendor = "postgresql"

    rounding = ROUND_HALF_UP

    updates_from_subquery = True
    returns_rows_of_views = True
    keeps_places = True
    describes_tables = True

    def is_aborted(self, connection: Any) -> bool:
        raw = connection.connection
        return raw is not None and bool(raw.info.transaction_status == _IN_ERROR)

    def returns_rows(self, connection: Any, *, of: str) -> bool:
        return bool(connection.features.can_return_columns_from_insert)

    def has_key(self, connection: Any, table: str, columns: Sequence[str]) -> SQL:
        return _KEY, [str(connection.ops.quote_name(table)), [*columns]]

    def has_no_triggers(self, connection: Any, table: str) -> SQL:
        """Return the condition; it does not hold for a partitioned table, whose partitions may have triggers."""
        return _NO_TRIGGERS, [str(connection.ops.quote_name(table))]

    def locators(self, connection: Any, table: str) -> Sequence[str]:
        return ("tableoid", "ctid") if _kind_of(connection, table) in (_TABLE, _PARTITIONED) else ()

    def at_places(self, table: str) -> str:
        return (
            " FROM unnest(%s::oid[], %s::tid[]) WITH ORDINALITY"
            f" AS heliograph_place (heliograph_oid, heliograph_tid, {PLACE_NUMBER})"
            f" WHERE {table}.tableoid = heliograph_oid AND {table}.ctid = heliograph_tid"
        )

    def insertion_marks(self, connection: Any, table: str) -> Marks:
        """Return the marks of a table.

        A query asks for the kind of the table at each write, since a migration or a search path may give the name to
        another table.
        """
        return _MARKS.get(_kind_of(connection, table), Marks)(connection, connection.ops.quote_name(table))


_IN_ERROR = 3  # PQTRANS_INERROR of libpq


# --- tables -------------------------------------------------------------------------------------------------------


def _kind_of(connection: Any, table: str) -> str:
    """Return the `relkind` of a name: "r" is a table, "p" a partitioned table, "v" a view, and so on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", [connection.ops.quote_name(table)]
        )
        return next(iter(cursor.fetchone() or ()), "")


_TABLE, _PARTITIONED = "r", "p"

_KEY = (
    "EXISTS (SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
    " WHERE indrelid = to_regclass(%s) AND indisunique AND indisvalid AND indimmediate"
    " AND indpred IS NULL AND indexprs IS NULL AND (relkind = 'p' OR NOT relhassubclass)"
    " AND NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey)"
    " AND (NOT attnotnull OR attname <> ALL (%s))))"
)

# Bit 16 of tgtype stands for UPDATE. Internal triggers are left out, since they only check constraints.
_NO_TRIGGERS = (
    "EXISTS (SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'r' AND NOT EXISTS"
    " (SELECT 1 FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal AND tgtype::int & 16 <> 0))"
)


class _MarksOfTable(Marks):
    """The marks of an ordinary table: `xmax` is not 0 if the row was locked, and so updated."""

    columns = ", (xmax = 0)"

    def are_insertions(self, marks: Sequence[Sequence[Any]]) -> Sequence[bool]:
        return [is_new for (is_new,) in marks]


class _MarksOfPartitions(Marks):
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


# Views and foreign tables have no such columns.
_MARKS = {_TABLE: _MarksOfTable, _PARTITIONED: _MarksOfPartitions}
