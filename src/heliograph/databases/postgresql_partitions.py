"""Partitions of PostgreSQL: a table becomes a table partitioned by ranges of its id, and no row is copied."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any

from django.db import OperationalError
from django.db.transaction import atomic

from heliograph.databases.pieces import Partition

# How long a statement waits for the lock of a table; meanwhile, whoever wants the table waits behind it.
_TIMEOUT = "SET LOCAL lock_timeout = '5s'"
_TIMED_OUT = "55P03"
_PAUSE = 0.5  # seconds between two waits for a lock that must be got

_BOUND = "heliograph_below"  # the constraint by which PostgreSQL need not read the table to attach it
_OLD = "_p0"  # what follows the name of the table that was there before, and the names of its indexes


def is_lock_timeout(error: BaseException) -> bool:
    """Return whether a statement has waited too long for a lock; psycopg2 calls the code otherwise than psycopg."""
    cause = error.__cause__
    return _TIMED_OUT in (getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None))


def partitions(connection: Any, table: str) -> Sequence[Partition]:
    """Query for the partitions of a table, in the order of their ids; the default partition is the last."""
    found = (_partition(name, bounds) for name, bounds in _asked(connection, _PARTITIONS, table))
    return sorted(found, key=lambda one: float("inf") if one.end is None else one.end)


def last_id(connection: Any, table: str) -> int:
    """Query for the highest id that the sequence of a table has given."""
    _, last, is_called = _sequence(connection, table)
    return int(last) if is_called else int(last) - 1


def hindrances(connection: Any, table: str) -> Sequence[str]:
    """Query for what would stay at the old table when a partitioned one takes its name."""
    return [text for (text,) in _asked(connection, _HINDRANCES, *[table] * _HINDRANCES.count("%s"))]


@contextmanager
def bounded(connection: Any, table: str, end: int) -> Iterator[None]:
    """Let PostgreSQL know in the block, outside a transaction, that all ids are below an end: it reads them meanwhile.

    Writers go on while it reads, and are refused only with an id that is not below the end. A constraint that a killed
    process has left is replaced.
    """
    name = _quoted(connection, table)
    drop = f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {_BOUND}"
    add = f"ALTER TABLE {name} ADD CONSTRAINT {_BOUND} CHECK (id < {int(end)}) NOT VALID"
    _in_transaction(connection, _TIMEOUT, drop, add)
    try:
        _in_transaction(connection, f"ALTER TABLE {name} VALIDATE CONSTRAINT {_BOUND}")
        yield
    except BaseException:
        while not _is_done_in_time(connection, drop):
            Event().wait(_PAUSE)  # those who want the table go first
        raise


def partition(connection: Any, table: str, end: int) -> None:
    """Let a partitioned table take the place of a table in a block of `bounded`, in the open transaction."""
    name = _quoted(connection, table)
    _execute(connection, _TIMEOUT, f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
    schema, owner = _home(connection, table)
    old, default = (f"{schema}.{_quoted(connection, f'{table}{suffix}')}" for suffix in (_OLD, "_default"))
    new, sequence = f"{schema}.{name}", _sequence(connection, table)
    moved = [*_moved(connection, table, schema, old, new)]
    grants = [text.replace(" ON TABLE ", f" ON TABLE {new} ") for (text,) in _asked(connection, _GRANTS, table)]
    _execute(
        connection,
        f"ALTER TABLE {new} RENAME TO {_quoted(connection, f'{table}{_OLD}')}",
        f"CREATE TABLE {new} (LIKE {old} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (id)",
        f"ALTER TABLE {new} DROP CONSTRAINT {_BOUND}",
        f"ALTER TABLE {old} ALTER id DROP IDENTITY",
    )
    _take_sequence(connection, table, *sequence)
    _execute(
        connection,
        *moved,
        f"ALTER TABLE {new} ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ({int(end)})",
        f"ALTER TABLE {old} DROP CONSTRAINT {_BOUND}",
        f"CREATE TABLE {default} PARTITION OF {new} DEFAULT",
        *(f"ALTER TABLE {one} OWNER TO {owner}" for one in (new, default)),
        *grants,
    )


def add_partition(connection: Any, table: str, first: int, end: int) -> None:
    """Add a partition in the open transaction; writers go on, since only the default partition is locked."""
    schema, owner = _home(connection, table)
    whole, part = (f"{schema}.{_quoted(connection, name)}" for name in (table, f"{table}_p{int(first)}"))
    _execute(
        connection,
        _TIMEOUT,
        f"CREATE TABLE {part} (LIKE {whole} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES)",
        f"ALTER TABLE {part} OWNER TO {owner}",
        f"ALTER TABLE {whole} ATTACH PARTITION {part} FOR VALUES FROM ({int(first)}) TO ({int(end)})",
    )


def freeze_partition(connection: Any, name: str) -> None:
    """Let nobody write to a partition until the open transaction has ended."""
    _execute(connection, _TIMEOUT, f"LOCK TABLE {_quoted(connection, name)} IN SHARE MODE")


def drop_partition(connection: Any, name: str) -> None:
    """Drop a partition in the open transaction, which locks the whole table for as long as it is open after that."""
    _execute(connection, _TIMEOUT, f"DROP TABLE {_quoted(connection, name)}")


# --- pieces -------------------------------------------------------------------------------------------------------


def _partition(name: str, bounds: str) -> Partition:
    found = _RANGE.search(bounds)
    if found is None:
        return Partition(name, None, None)
    first, end = found.groups()
    return Partition(name, None if first is None else int(first), int(end))


_RANGE = re.compile(r"FROM \((?:MINVALUE|'?(-?\d+)'?)\) TO \('?(-?\d+)'?\)")


def _home(connection: Any, table: str) -> Any:
    """Return the schema of a table and its owner, both quoted."""
    [found] = _asked(connection, _HOME, table)
    return found


def _sequence(connection: Any, table: str) -> Any:
    """Return the name of the sequence of a table, with its last value, and whether that was given."""
    [(qualified, name)] = _asked(connection, _SEQUENCE, table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last_value, is_called FROM {qualified}")
        return name, *cursor.fetchone()


def _take_sequence(connection: Any, table: str, name: str, last: int, is_called: bool) -> None:
    """Let the sequence of a new table go on where another one has ended, and have its name."""
    [(made, _)] = _asked(connection, _SEQUENCE, table)
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(%s::regclass, %s, %s)", [made, last, is_called])
    _execute(connection, f"ALTER SEQUENCE {made} RENAME TO {_quoted(connection, name)}")


def _moved(connection: Any, table: str, schema: str, old: str, new: str) -> Iterator[str]:
    """Yield the statements that rename the indexes and keys of an old table, and make the same ones for a new one."""
    for index, definition in _asked(connection, _INDEXES, table):
        yield f"ALTER INDEX {schema}.{_quoted(connection, index)} RENAME TO {_old(connection, index)}"
        yield definition  # which names the table as it is called now
    for key, definition in _asked(connection, _KEYS, table):
        yield f"ALTER TABLE {old} RENAME CONSTRAINT {_quoted(connection, key)} TO {_old(connection, key)}"
        yield f"ALTER TABLE {new} ADD CONSTRAINT {_quoted(connection, key)} {definition}"


def _quoted(connection: Any, name: str) -> str:
    return str(connection.ops.quote_name(name))


def _old(connection: Any, name: str) -> str:
    """Return the name of an index of the table that was there before; names have 63 letters at most."""
    return _quoted(connection, f"{name[: 63 - len(_OLD)]}{_OLD}")


def _asked(connection: Any, sql: str, *tables: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, [_quoted(connection, table) for table in tables])
        return cursor.fetchall()


def _execute(connection: Any, *statements: str) -> None:
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def _in_transaction(connection: Any, *statements: str) -> None:
    with atomic(connection.alias):
        _execute(connection, *statements)


def _is_done_in_time(connection: Any, statement: str) -> bool:
    """Execute a statement in a transaction of its own; return whether it has got its lock."""
    try:
        _in_transaction(connection, _TIMEOUT, statement)
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
        return False
    return True


_PARTITIONS = (
    "SELECT relname, pg_get_expr(relpartbound, pg_class.oid) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = to_regclass(%s) AND relispartition"
)
_SEQUENCE = "SELECT oid::regclass::text, relname FROM pg_class WHERE oid = pg_get_serial_sequence(%s, 'id')::regclass"
_HOME = (
    "SELECT quote_ident(nspname), quote_ident(pg_get_userbyid(relowner)) FROM pg_class"
    " JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass(%s)"
)
_INDEXES = (
    "SELECT relname, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
    " WHERE indrelid = to_regclass(%s) AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)"
)
_KEYS = (
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid = to_regclass(%s) AND contype IN ('p', 'u', 'x')"
)
_GRANTS = (
    "SELECT format('GRANT %%s ON TABLE TO %%s%%s', privilege_type,"
    " CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,"
    " CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
    " FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass(%s) AND grantee <> relowner"
)
_HINDRANCES = """
    SELECT 'the view ' || pg_rewrite.ev_class::regclass FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid
        WHERE classid = 'pg_rewrite'::regclass AND refobjid = to_regclass(%s) GROUP BY 1
    UNION ALL SELECT 'the foreign key ' || conname FROM pg_constraint
        WHERE contype = 'f' AND to_regclass(%s) IN (conrelid, confrelid)
    UNION ALL SELECT 'the trigger ' || tgname FROM pg_trigger
        WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal AND tgname <> 'heliograph_protect'
    UNION ALL SELECT 'the policy ' || polname FROM pg_policy WHERE polrelid = to_regclass(%s)
    UNION ALL SELECT 'the publication ' || pubname FROM pg_publication_rel
        JOIN pg_publication ON pg_publication.oid = prpubid WHERE prrelid = to_regclass(%s)
    UNION ALL SELECT 'privileges for the column ' || attname FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attacl IS NOT NULL
    UNION ALL SELECT 'a table that inherits from it' FROM pg_inherits WHERE inhparent = to_regclass(%s)
    UNION ALL SELECT 'an id that is not GENERATED AS IDENTITY' FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attname = 'id' AND attidentity = ''
"""
