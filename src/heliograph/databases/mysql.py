"""MySQL and MariaDB, which have one vendor in Django."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP
from typing import Any

from heliograph.databases.general import Database
from heliograph.databases.pieces import SQL


class MySQL(Database):
    """MySQL and MariaDB, by mysqlclient or PyMySQL."""

    vendor = "mysql"

    rounding = ROUND_HALF_UP

    describes_tables = True

    def returns_rows(self, connection: Any, *, of: str) -> bool:
        """Return whether a statement can return rows: on MariaDB an INSERT and a DELETE, on MySQL none."""
        return bool(connection.mysql_is_mariadb) and of != "UPDATE"

    def has_key(self, connection: Any, table: str, columns: Sequence[str]) -> SQL:
        return _KEY.format(", ".join(["%s"] * len(columns))), [_bare(table), *columns]

    def has_no_triggers(self, connection: Any, table: str) -> SQL:
        return _NO_TRIGGERS, [_bare(table)]

    def locators(self, connection: Any, table: str) -> Sequence[str]:
        """Return the columns of the primary key, or of another unique index without NULLs."""
        with connection.cursor() as cursor:
            cursor.execute(_LOCATORS, [_bare(table)])
            return [connection.ops.quote_name(name) for (name,) in cursor.fetchall()]


# --- tables -------------------------------------------------------------------------------------------------------


def _bare(table: str) -> str:
    """Return the name of a table as the catalogue has it: `db_table` may have quotes."""
    return table.strip('`"')


_KEY = (
    "EXISTS (SELECT 1 FROM information_schema.statistics"
    " WHERE table_schema = DATABASE() AND table_name = %s AND non_unique = 0"
    " GROUP BY index_name HAVING SUM(nullable = 'YES' OR column_name NOT IN ({})) = 0)"
)
_NO_TRIGGERS = (
    "NOT EXISTS (SELECT 1 FROM information_schema.triggers WHERE event_object_schema = DATABASE()"
    " AND event_object_table = %s AND event_manipulation = 'UPDATE')"
)
_LOCATORS = (
    "SELECT column_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND (table_name,"
    " index_name) = (SELECT table_name, index_name FROM information_schema.statistics WHERE table_schema = DATABASE()"
    " AND table_name = %s AND non_unique = 0 GROUP BY table_name, index_name HAVING SUM(nullable = 'YES') = 0"
    " ORDER BY index_name = 'PRIMARY' DESC, index_name LIMIT 1) ORDER BY seq_in_index"
)
