"""SQLite, and SpatiaLite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from heliograph.databases.general import Database
from heliograph.databases.pieces import SQL


class SQLite(Database):
    """SQLite, by the module `sqlite3` of Python.

    It has no row locks. If a transaction reads, another one writes, and then the first wants to write, SQLite raises an
    error and does not let it wait. So a transaction that reads before it writes has to take the lock first.
    """

    vendor = "sqlite"

    rounding = ROUND_HALF_EVEN

    has_one_writer = True
    describes_tables = True

    def stored_decimal(self, value: Decimal, places: int, digits: int | None) -> Decimal | None:
        """Return a number as a float has it, which SQLite stores; Django rounds the float when it reads the row."""
        if int(value.as_tuple().exponent) < -places:
            value = _FLOAT.create_decimal_from_float(float(value))
        return super().stored_decimal(value, places, digits)

    @contextmanager
    def beginning_as_writer(self, connection: Any) -> Iterator[bool]:
        """Let a transaction begin by BEGIN IMMEDIATE, unless `transaction_mode` in the settings says how."""
        if connection.transaction_mode is not None:
            yield False
            return
        connection.transaction_mode = "IMMEDIATE"
        try:
            yield True
        finally:
            connection.transaction_mode = None

    def begins_as_reader(self, connection: Any) -> bool:
        return connection.transaction_mode in (None, "DEFERRED")

    def returns_rows(self, connection: Any, *, of: str) -> bool:
        return bool(connection.features.can_return_columns_from_insert)

    def has_key(self, connection: Any, table: str, columns: Sequence[str]) -> SQL:
        name = _bare(table)
        return _KEY.format(", ".join(["%s"] * len(columns))), [name, name, *columns]

    def has_no_triggers(self, connection: Any, table: str) -> SQL:
        return _NO_TRIGGERS, [_bare(table)]

    def locators(self, connection: Any, table: str) -> Sequence[str]:
        with connection.cursor() as cursor:
            cursor.execute(_LOCATORS, [_bare(table)])
            found = [name for (name,) in cursor.fetchall()]
        return [name if name == _ROWID else connection.ops.quote_name(name) for name in found]


_FLOAT = Context(prec=15)


# --- tables -------------------------------------------------------------------------------------------------------


def _bare(table: str) -> str:
    """Return the name of a table as the catalogue has it: `db_table` may have quotes."""
    return table.strip('`"')


_ROWID = "_rowid_"

_KEY = (
    "(EXISTS (SELECT 1 FROM pragma_table_info(%s) WHERE pk > 0)"
    " AND NOT EXISTS (SELECT 1 FROM pragma_table_info(%s) WHERE pk > 0 AND name NOT IN ({})))"
)
_NO_TRIGGERS = "NOT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s COLLATE NOCASE)"

# A table WITHOUT ROWID always has a primary key, whose columns are used instead.
_LOCATORS = (
    "SELECT CASE WHEN instr(upper(sql), 'WITHOUT ROWID') THEN info.name ELSE '_rowid_' END"
    " FROM sqlite_master AS one JOIN pragma_table_info(one.name) AS info"
    " ON info.pk > 0 OR NOT instr(upper(sql), 'WITHOUT ROWID')"
    " WHERE one.type = 'table' AND one.name = %s COLLATE NOCASE GROUP BY 1"
)
