"""Tables: keys, triggers and columns of a table as the database has them, which may differ from its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SQL = tuple[str, list[Any]]  # a piece of SQL, with its parameters

# A table has a key if no two rows share a primary key of the model. In a partitioned table, a view or the table of
# another application, several rows may share one. The statement that reads or writes the rows asks the database for
# this, and the answer is not cached, since a migration or a search path may give the name to another table.


def has_key(connection: Any, model: Any) -> SQL:
    """Return a condition that holds if no two rows of a model's table can have the same primary key."""
    columns = [field.column for field in model._meta.pk_fields]
    table = _name(connection, model._meta.db_table)
    if connection.vendor == "postgresql":
        return _KEY_OF_POSTGRESQL, [table, columns]
    marks = ", ".join(["%s"] * len(columns))
    if connection.vendor == "mysql":
        return _KEY_OF_MYSQL.format(marks), [table, *columns]
    return _KEY_OF_SQLITE.format(marks), [table, table, *columns]


def has_no_triggers(connection: Any, model: Any) -> SQL:
    """Return a condition that holds if the table has no trigger that could change the values of an UPDATE.

    It does not hold for a partitioned table of PostgreSQL, whose partitions may have triggers of their own.
    """
    return _TRIGGERS[connection.vendor], [_name(connection, model._meta.db_table)]


def is_ordinary(connection: Any, model: Any) -> SQL:
    """Return a condition that holds if both `has_key` and `has_no_triggers` do."""
    (key, params), (triggers, more) = has_key(connection, model), has_no_triggers(connection, model)
    return f"({key} AND {triggers})", [*params, *more]


def holds(connection: Any, condition: SQL) -> bool:
    """Return whether a condition on a table holds now."""
    sql, params = condition
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        return bool(cursor.fetchone()[0])


def kind_of(connection: Any, table: str) -> str:
    """Return PostgreSQL's `relkind` of a name: "r" is a table, "p" a partitioned table, "v" a view, and so on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", [connection.ops.quote_name(table)]
        )
        return next(iter(cursor.fetchone() or ()), "")


def locators(connection: Any, table: str) -> Sequence[str]:
    """Return the columns, quoted for SQL, that identify a row of the table; none if there are no such columns."""
    if connection.vendor == "postgresql":
        return ("tableoid", "ctid") if kind_of(connection, table) in ("r", "p") else ()
    names = _KEYS[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(names, [_name(connection, table)])
        found = [name for (name,) in cursor.fetchall()]
    return [name if name == _ROWID else connection.ops.quote_name(name) for name in found]


def _name(connection: Any, table: str) -> str:
    """Return the name of a table as the catalogue of the database has it."""
    return str(connection.ops.quote_name(table)) if connection.vendor == "postgresql" else table.strip('`"')


_ROWID = "_rowid_"

_KEY_OF_POSTGRESQL = (
    "EXISTS (SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
    " WHERE indrelid = to_regclass(%s) AND indisunique AND indisvalid AND indimmediate"
    " AND indpred IS NULL AND indexprs IS NULL AND (relkind = 'p' OR NOT relhassubclass)"
    " AND NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey)"
    " AND (NOT attnotnull OR attname <> ALL (%s))))"
)
_KEY_OF_MYSQL = (
    "EXISTS (SELECT 1 FROM information_schema.statistics"
    " WHERE table_schema = DATABASE() AND table_name = %s AND non_unique = 0"
    " GROUP BY index_name HAVING SUM(nullable = 'YES' OR column_name NOT IN ({})) = 0)"
)
_KEY_OF_SQLITE = (
    "(EXISTS (SELECT 1 FROM pragma_table_info(%s) WHERE pk > 0)"
    " AND NOT EXISTS (SELECT 1 FROM pragma_table_info(%s) WHERE pk > 0 AND name NOT IN ({})))"
)
_TRIGGERS = {
    # Bit 16 of tgtype stands for UPDATE. Internal triggers are left out, since they only check constraints.
    "postgresql": "EXISTS (SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'r' AND NOT EXISTS"
    " (SELECT 1 FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal AND tgtype::int & 16 <> 0))",
    "mysql": "NOT EXISTS (SELECT 1 FROM information_schema.triggers WHERE event_object_schema = DATABASE()"
    " AND event_object_table = %s AND event_manipulation = 'UPDATE')",
    "sqlite": "NOT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s COLLATE NOCASE)",
}
_KEYS = {
    "mysql": "SELECT column_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND (table_name,"
    " index_name) = (SELECT table_name, index_name FROM information_schema.statistics WHERE table_schema = DATABASE()"
    " AND table_name = %s AND non_unique = 0 GROUP BY table_name, index_name HAVING SUM(nullable = 'YES') = 0"
    " ORDER BY index_name = 'PRIMARY' DESC, index_name LIMIT 1) ORDER BY seq_in_index",
    # A table WITHOUT ROWID always has a primary key, whose columns are used instead.
    "sqlite": "SELECT CASE WHEN instr(upper(sql), 'WITHOUT ROWID') THEN info.name ELSE '_rowid_' END"
    " FROM sqlite_master AS one JOIN pragma_table_info(one.name) AS info"
    " ON info.pk > 0 OR NOT instr(upper(sql), 'WITHOUT ROWID')"
    " WHERE one.type = 'table' AND one.name = %s COLLATE NOCASE GROUP BY 1",
}
