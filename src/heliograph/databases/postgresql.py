"""PostgreSQL, and what is built on it and has its vendor, such as PostGIS."""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import ROUND_HALF_UP
from functools import cache
from typing import Any

from heliograph.databases import postgresql_partitions as parts
from heliograph.databases.general import Database
from heliograph.databases.pieces import ROW_NUMBER, SQL, Clock, Insertion, Marks, Partition


class PostgreSQL(Database):
    """PostgreSQL, by psycopg or psycopg2."""

    vendor = "postgresql"
    engine = "postg"

    rounding = ROUND_HALF_UP

    updates_from_subquery = True
    returns_rows_of_views = True
    keeps_locators = True
    describes_tables = True

    def same(self, column: str, kind: str, field: Any) -> str | None:
        """Return the condition; PostgreSQL refuses to compare a column of another type than the field's with a value.

        An `IntegerField` may have a column of texts, and a plain UPDATE casts to it.
        """
        if kind == "DecimalField":  # 1.5 and 1.50 are one number with two texts
            return f"to_jsonb({column}) IS NOT DISTINCT FROM to_jsonb(CAST(%s AS numeric))"
        return f'{column}::text COLLATE "C" IS NOT DISTINCT FROM CAST(%s AS text)'

    @contextmanager
    def limiting_statements(self, connection: Any, seconds: float) -> Iterator[None]:
        """Limit the statements of the open transaction, whose end takes the limit away."""
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
        yield

    aborts = True

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

    def at_locators(self, table: str) -> str:
        return (
            " FROM unnest(%s::oid[], %s::tid[]) WITH ORDINALITY"
            f" AS heliograph_row (heliograph_oid, heliograph_tid, {ROW_NUMBER})"
            f" WHERE {table}.tableoid = heliograph_oid AND {table}.ctid = heliograph_tid"
        )

    def insertion_marks(self, connection: Any, table: str) -> Marks:
        """Return the marks of a table.

        A query asks for the kind of the table at each write, since a migration or a search path may give the name to
        another table.
        """
        return _MARKS.get(_kind_of(connection, table), Marks)(connection, connection.ops.quote_name(table))

    # --- the outbox -----------------------------------------------------------------------------------------------

    carries_outbox = True
    clock = Clock(
        "statement_timestamp()",
        "statement_timestamp() + %s * interval '1 second'",
        "clock_timestamp()",
        "clock_timestamp() + %s * interval '1 second'",
    )
    most_parameters = 2**16 - 1  # which the protocol counts in 16 bits

    def _inserted(
        self, connection: Any, cursor: Any, insertion: Insertion, rows: Sequence[Sequence[Any]], locks: Sequence[int]
    ) -> list[int]:
        """Insert rows, with one parameter for a column that is the same in all rows: the driver works on each."""
        first = rows[0]
        columns = zip(*rows, strict=True)
        varying = tuple(at for at, column in enumerate(columns) if column.count(first[at]) < len(rows)) or (0,)
        same = tuple(at for at in range(len(first)) if at not in varying)
        head, row, tail = _insertion(insertion, same, varying, is_keyed=bool(locks))
        parameters = [*(first[at] for at in same), *(row[at] for row in rows for at in varying)]
        cursor.execute(f"{head}{', '.join([row] * len(rows))}{tail}", [locks, *parameters] if locks else parameters)
        return [number for (number,) in cursor.fetchall()]

    def lock(self, connection: Any, numbers: Sequence[int], at_end: Callable[[Callable[[], None]], None]) -> None:
        """Check deferred constraints, such as Django's foreign keys, which lock rows of others; `insert` then locks.

        The numbers of the locks come last, since a transaction that waits for one may hold such a row.
        """
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            if len(connection.atomic_blocks) > 1:  # a test, which goes on in this transaction
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")

    def row_lock(self, alias: str, *, skips_locked: bool = False) -> str:
        return f" FOR NO KEY UPDATE OF {alias}{' SKIP LOCKED' if skips_locked else ''}"

    def has_begun(self, connection: Any) -> bool:
        return connection.connection.info.transaction_status in (_IN_TRANSACTION, _IN_ERROR)

    # --- waking ---------------------------------------------------------------------------------------------------

    has_notices = True

    def notify(self, connection: Any, channel: str, text: str) -> None:
        """Send a notice by the driver itself, since Django would count it among the queries of a test or a request."""
        with connection.wrap_database_errors, connection.connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [channel, text])

    def listen(self, connection: Any, channel: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {channel}")

    def wait_for_notice(self, connection: Any, seconds: float) -> bool:
        raw = connection.connection
        return bool(select.select([raw.fileno()], [], [], seconds)[0]) and _has_notices(raw)

    # --- system checks --------------------------------------------------------------------------------------------

    def most_connections(self, connection: Any) -> int:
        with connection.cursor() as cursor:
            cursor.execute(_MOST_CONNECTIONS)
            most: int = cursor.fetchone()[0]
        return most

    # --- the audit log --------------------------------------------------------------------------------------------

    inserts_within = True

    def table_of_texts(self, connection: Any, columns: Sequence[Sequence[str]]) -> SQL:
        """Return the table; each column is one parameter, which the driver need not take apart."""
        joined = [_SEPARATOR.join(column) for column in columns]
        is_one = len(columns[0]) == 1  # one empty text would be an empty array
        if is_one or any(text.count(_SEPARATOR) != len(columns[0]) - 1 for text in joined):
            return super().table_of_texts(connection, columns)
        texts = (f"unnest(string_to_array(%s, '{_SEPARATOR}')) AS c{at}" for at in range(len(columns)))
        return f"(SELECT {', '.join(texts)}) given", joined

    def in_utc(self, column: str) -> str:
        return f"{column} AT TIME ZONE 'UTC'"

    def open_writers(self, connection: Any, table: str, since: Any) -> int:
        with connection.cursor() as cursor:
            cursor.execute(_OPEN_WRITERS, [str(connection.ops.quote_name(table)), since])
            count: int = cursor.fetchone()[0]
        return count

    def protection(self, tables: Sequence[str]) -> Sequence[str]:
        """Return the statements; TRUNCATE is refused too."""
        return [_REFUSING, *(_PROTECTION.format(table=table) for table in tables)]

    def without_protection(self, tables: Sequence[str]) -> Sequence[str]:
        triggers = [f'DROP TRIGGER IF EXISTS heliograph_protect ON "{table}"' for table in tables]
        return [*triggers, "DROP FUNCTION IF EXISTS heliograph_refuse()"]

    def is_protected(self, connection: Any, table: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_IS_PROTECTED, [str(connection.ops.quote_name(table))])
            return bool(cursor.fetchone()[0])

    @contextmanager
    def unprotected(self, connection: Any, tables: Sequence[str]) -> Iterator[None]:
        """Let the open transaction change rows, by a setting that ends with it at the latest."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('heliograph.unprotected', 'on', true)")
            yield
            cursor.execute("SELECT set_config('heliograph.unprotected', '', true)")

    # --- partitions -----------------------------------------------------------------------------------------------

    has_partitions = True

    def partitions(self, connection: Any, table: str) -> Sequence[Partition]:
        return parts.partitions(connection, table)

    def last_id(self, connection: Any, table: str) -> int:
        return parts.last_id(connection, table)

    def partition_hindrances(self, connection: Any, table: str) -> Sequence[str]:
        return parts.hindrances(connection, table)

    def bounded(self, connection: Any, table: str, end: int) -> AbstractContextManager[None]:
        return parts.bounded(connection, table, end)

    def partition(self, connection: Any, table: str, end: int) -> None:
        parts.partition(connection, table, end)

    def add_partition(self, connection: Any, table: str, first: int, end: int) -> None:
        parts.add_partition(connection, table, first, end)

    def freeze_partition(self, connection: Any, name: str) -> None:
        parts.freeze_partition(connection, name)

    def drop_partition(self, connection: Any, name: str) -> None:
        parts.drop_partition(connection, name)

    def is_lock_timeout(self, error: BaseException) -> bool:
        return parts.is_lock_timeout(error)

    # --- full text ------------------------------------------------------------------------------------------------

    has_full_text = True

    def full_text_index(self, table: str, column: str) -> Sequence[str]:
        return [f"CREATE INDEX {table}_{column}_words ON {table} USING gin ({_words_of(column)})"]

    def without_full_text_index(self, table: str, column: str) -> Sequence[str]:
        return [f"DROP INDEX {table}_{column}_words"]

    def full_text_query(self, words: Sequence[str]) -> str:
        return " ".join(words)

    def full_text_condition(self, table: str, key: str, column: str) -> str:
        return f"{_words_of(column)} @@ plainto_tsquery('simple', %s)"

    def full_text_rank(self, table: str, key: str, column: str) -> str:
        return f"ts_rank({_words_of(column)}, plainto_tsquery('simple', %s))"

    # --- schemas --------------------------------------------------------------------------------------------------

    has_search_path = True

    def default_search_path(self, connection: Any) -> tuple[str, ...]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT reset_val FROM pg_settings WHERE name = 'search_path'")
            return _parsed(cursor.fetchone()[0], connection)

    def search_path(self, connection: Any) -> tuple[str, ...]:
        with connection.connection.cursor() as cursor:
            cursor.execute("SHOW search_path")
            return _parsed(cursor.fetchone()[0], connection)

    def reported_search_path(self, connection: Any) -> tuple[str, ...] | None:
        """Return the search path that the server has reported, as PostgreSQL 18 does."""
        if connection.connection is None or connection.pg_version < _REPORTING:
            return None
        text = connection.connection.info.parameter_status("search_path")
        return _parsed(text, connection) if text else None

    def schemas_with(self, connection: Any, table: str, path: Sequence[str]) -> set[str]:
        with connection.cursor() as cursor:
            cursor.execute(_SCHEMAS, [table, [*path]])
            return {name for (name,) in cursor.fetchall()}


# What libpq says of a transaction: it goes on (PQTRANS_INTRANS), or an error has broken it (PQTRANS_INERROR).
_IN_TRANSACTION, _IN_ERROR = 2, 3


# A control character, which JSON has only as an escape.
_SEPARATOR = "\x1f"


def _words_of(column: str) -> str:
    return f"to_tsvector('simple', {column})"


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
    """The marks of a partitioned table: RETURNING has no `xmax` there, so a query reads it by the rows' locators."""

    columns = ", tableoid, ctid"

    def are_insertions(self, marks: Sequence[Sequence[Any]]) -> Sequence[bool]:
        tables, rows = ([mark[at] for mark in marks] for at in (0, 1))
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT one.xmax = 0 FROM unnest(%s::oid[], %s::tid[]) WITH ORDINALITY AS given (oid, tid, number)"
                f" LEFT JOIN {self.table} AS one ON one.tableoid = given.oid AND one.ctid = given.tid"
                " ORDER BY given.number",
                [tables, rows],
            )
            return [is_new is not False for (is_new,) in cursor.fetchall()]  # None: a trigger has moved the row


# Views and foreign tables have no such columns.
_MARKS = {_TABLE: _MarksOfTable, _PARTITIONED: _MarksOfPartitions}


# --- rows of the outbox -------------------------------------------------------------------------------------------


@cache
def _insertion(
    insertion: Insertion, same: tuple[int, ...], varying: tuple[int, ...], *, is_keyed: bool
) -> tuple[str, str, str]:
    """Return what comes before the rows, each row, and what comes after them.

    The columns with the indexes `same` have one value for all rows: their parameters come first, and then the
    parameters of each row. If rows have keys, a list of locks comes before all of them: so rows with one key are
    numbered in the order of their commits.
    """
    locks, held = (_LOCKS, ", held") if is_keyed else ("", "")
    one, others = ([insertion.columns[at] for at in indexes] for indexes in (same, varying))
    values = ", ".join([*["%s"] * len(one), *others, insertion.constant_values])
    return (
        f"{locks}{insertion.into([*one, *others])} SELECT {values} FROM (VALUES ",
        f"({', '.join(['%s'] * len(others))})",
        f") AS given ({', '.join(others)}){held} RETURNING id",
    )


_OURS = int.from_bytes(b"heli")  # the first of the two numbers of an advisory lock: projects have locks too
_LOCKS = (
    f"WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock({_OURS}, lock)"
    " FROM (SELECT unnest(%s::int[]) AS lock ORDER BY 1) AS locks),"
    " held AS MATERIALIZED (SELECT count(*) FROM locked) "
)


def _has_notices(raw: Any) -> bool:
    """Return whether a connection of psycopg, or of psycopg2, has been sent notices, and take them."""
    if hasattr(raw, "pgconn"):
        raw.pgconn.consume_input()
        return any([*iter(raw.pgconn.notifies, None)])
    raw.poll()
    found = bool(raw.notifies)
    raw.notifies.clear()
    return found


_MOST_CONNECTIONS = (
    "SELECT least(nullif(rolconnlimit, -1), nullif(datconnlimit, -1), current_setting('max_connections')::int)"
    " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
)


# --- the audit log ------------------------------------------------------------------------------------------------

# An INSERT locks its table until the transaction ends, and takes the numbers of its rows after that. A prepared
# transaction has no session, so nobody knows when it began.
_OPEN_WRITERS = (
    "SELECT count(DISTINCT virtualtransaction) FROM pg_locks LEFT JOIN pg_stat_activity AS session USING (pid)"
    " WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND relation = to_regclass(%s)"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND pid IS DISTINCT FROM pg_backend_pid() AND (xact_start <= %s) IS NOT FALSE"
)

_REFUSING = """
    CREATE OR REPLACE FUNCTION heliograph_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('heliograph.unprotected', true) = 'on' THEN RETURN NULL; END IF;
        RAISE EXCEPTION 'Rows of % are not edited: manage.py audit unprotect allows it', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END $$
"""
_PROTECTION = (
    'CREATE OR REPLACE TRIGGER heliograph_protect BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}"'
    " FOR EACH STATEMENT EXECUTE FUNCTION heliograph_refuse()"
)
_IS_PROTECTED = (
    "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = 'heliograph_protect')"
)


# --- schemas ------------------------------------------------------------------------------------------------------

_REPORTING = 18_00_00  # the first version that reports the search path to the client

_SCHEMAS = """
    SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relname = %s AND nspname = ANY(%s)
"""

# The name of a schema in a search path: in quotes, with each inner quote doubled, or without quotes.
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')


def _parsed(text: str, connection: Any) -> tuple[str, ...]:
    names = (quoted.replace('""', '"') or bare for quoted, bare in _NAME.findall(text))
    user = connection.settings_dict["USER"]
    return tuple(user if name == "$user" else name for name in names)
