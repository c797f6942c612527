"""SQLite, and SpatiaLite."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache
from typing import Any

from heliograph.databases.general import Database
from heliograph.databases.pieces import SQL, Clock, Insertion, Problem

_FORMAT = "'%%Y-%%m-%%d %%H:%%M:%%f'"  # in which SQLite's texts compare with those that Django writes


class SQLite(Database):
    """SQLite, by the module `sqlite3` of Python.

    It has no row locks. If a transaction reads, another one writes, and then the first wants to write, SQLite raises an
    error and does not let it wait. So a transaction that reads before it writes has to take the lock first.
    """

    vendor = "sqlite"
    engine = "lite"

    rounding = ROUND_HALF_EVEN

    has_one_writer = True
    undoes_sequences = True
    describes_tables = True

    def stored_decimal(self, value: Decimal, decimal_places: int, digits: int | None) -> Decimal | None:
        """Return a number as a float has it, which SQLite stores; Django rounds the float when it reads the row."""
        if int(value.as_tuple().exponent) < -decimal_places:
            value = _FLOAT.create_decimal_from_float(float(value))
        return super().stored_decimal(value, decimal_places, digits)

    def same(self, column: str, kind: str, field: Any) -> str | None:
        """Return the condition; it is not known for decimals with more digits than a float keeps."""
        is_float = kind == "DecimalField" and (field.max_digits or 16) > 15
        return None if is_float else f"{column} IS (%s COLLATE BINARY)"

    def has_snapshot(self, connection: Any) -> bool:
        """Return whether a transaction that reads lets others write meanwhile, and does not see what they write."""
        mode = connection.connection and connection.connection.execute("PRAGMA journal_mode").fetchone()[0]
        return bool(mode == "wal")

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

    # --- the outbox -----------------------------------------------------------------------------------------------

    carries_outbox = True
    clock = Clock(*(f"strftime({_FORMAT}, 'now')", f"strftime({_FORMAT}, 'now', %s || ' seconds')") * 2)

    def interval(self, seconds: float) -> Any:
        return f"{seconds:+.6f}"

    def time_of_insertion(self) -> SQL:
        """Return the time of the process, which is that of SQLite: its own functions know milliseconds only."""
        return "%s", [datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")]

    def insert(
        self, connection: Any, insertion: Insertion, rows: Sequence[Sequence[Any]], locks: Sequence[int] = ()
    ) -> list[int]:
        """Insert rows by one statement, whose one parameter is JSON: the limit of parameters does not count."""
        with connection.cursor() as cursor:
            cursor.execute(_insertion(insertion), [json.dumps([*rows])])
            return [number for (number,) in cursor.fetchall()]

    def row_lock(self, alias: str, *, skips_locked: bool = False) -> str:
        """Return nothing: the only lock is on the whole database."""
        return ""

    def has_begun(self, connection: Any) -> bool:
        return bool(connection.connection.in_transaction)

    # --- waking ---------------------------------------------------------------------------------------------------

    counts_writes = True

    def count_of_writes(self, connection: Any) -> int:
        """Return the version of the database, which takes SQLite microseconds."""
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            version: int = cursor.fetchone()[0]
            return version

    # --- the audit log --------------------------------------------------------------------------------------------

    def table_of_texts(self, connection: Any, columns: Sequence[Sequence[str]]) -> SQL:
        names = ", ".join(f"json_extract(value, '$[{at}]') AS c{at}" for at in range(len(columns)))
        return f"(SELECT {names} FROM json_each(%s) ORDER BY key) given", [json.dumps([*zip(*columns, strict=True)])]

    def open_writers(self, connection: Any, table: str, since: Any) -> int:
        """Return 0: the transaction that asks is the only one that writes."""
        return 0

    def protection(self, tables: Sequence[str]) -> Sequence[str]:
        return [*self.without_protection(tables), *_triggers(tables, _PROTECTION)]

    def without_protection(self, tables: Sequence[str]) -> Sequence[str]:
        return _triggers(tables, "DROP TRIGGER IF EXISTS {table}_{verb}_refused")

    def is_protected(self, connection: Any, table: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_REFUSING, [f"{table}_UPDATE_refused"])
            return bool(cursor.fetchone()[0])

    @contextmanager
    def unprotected(self, connection: Any, tables: Sequence[str]) -> Iterator[None]:
        """Let the open transaction change rows: it drops the triggers, and makes them again before others can write."""
        protected = [table for table in tables if self.is_protected(connection, table)]
        with connection.cursor() as cursor:
            for sql in self.without_protection(protected):
                cursor.execute(sql)
            yield
            for sql in self.protection(protected):
                cursor.execute(sql)

    # --- full text ------------------------------------------------------------------------------------------------

    has_full_text = True

    def full_text_index(self, table: str, column: str) -> Sequence[str]:
        """Return a table of FTS5, and triggers that keep it."""
        return [one.format(table=table, column=column) for one in _FULL_TEXT]

    def without_full_text_index(self, table: str, column: str) -> Sequence[str]:
        triggers = [f"DROP TRIGGER {table}_words_{event}" for event in ("insert", "update", "delete")]
        return [*triggers, f"DROP TABLE {table}_words"]

    def full_text_query(self, words: Sequence[str]) -> str:
        """Return the words in quotes, in which nothing is an operator."""
        return " ".join(f'"{word}"' for word in words)

    def full_text_condition(self, table: str, key: str, column: str) -> str:
        return f"{key} IN (SELECT rowid FROM {table}_words WHERE {table}_words MATCH %s)"

    def full_text_rank(self, table: str, key: str, column: str) -> str:
        return f"(SELECT -bm25({table}_words) FROM {table}_words WHERE {table}_words MATCH %s AND rowid = {key})"

    # --- system checks --------------------------------------------------------------------------------------------

    def problems(self, connection: Any) -> Iterator[Problem]:
        version = connection.Database.sqlite_version_info
        if version < (3, 35):
            text = f"SQLite {'.'.join(map(str, version))} cannot return what it updates, and workers have to know that."
            yield Problem("E109", text, "Use SQLite 3.35 or newer.")
        if not _is_of_a_test(connection):
            yield from _problems_of_settings(connection)


@cache
def _insertion(insertion: Insertion) -> str:
    """Return the statement whose one parameter is JSON: a list of lists of values."""
    values = ", ".join(f"json_extract(value, '$[{at}]')" for at in range(len(insertion.columns)))
    into, constants = insertion.into(insertion.columns), insertion.constant_values
    return f"{into} SELECT {values}, {constants} FROM json_each(%s) WHERE true RETURNING id"


# --- system checks ------------------------------------------------------------------------------------------------

RECOMMENDED_OPTIONS = (
    '"OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",'
    ' "transaction_mode": "IMMEDIATE"}'
)


def _problems_of_settings(connection: Any) -> Iterator[Problem]:
    if connection.is_in_memory_db():
        text = "This database is in the memory of one process: a worker, which is another one, sees no delivery."
        yield Problem("W101", text, "Set NAME to a file.")
        return
    hint = f"Set in DATABASES[{connection.alias!r}]: {RECOMMENDED_OPTIONS}."
    if _journal_mode(connection) != "wal":
        text = "SQLite has no write-ahead log here: who writes waits for who reads, and the other way round."
        yield Problem("W102", text, hint)
    mode = str(connection.settings_dict["OPTIONS"].get("transaction_mode")).upper()
    if mode not in ("IMMEDIATE", "EXCLUSIVE"):
        text = (
            "Transactions of SQLite begin without the lock to write here: of two that have read before they write, one"
            " fails with 'database is locked'."
        )
        yield Problem("W103", text, hint)


def _is_of_a_test(connection: Any) -> bool:
    """Return whether Django has made this database in memory for tests, whose worker is the test itself."""
    return str(connection.settings_dict["NAME"]).startswith("file:memorydb_")


def _journal_mode(connection: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        return str(cursor.fetchone()[0]).lower()


_FLOAT = Context(prec=15)

# --- full text ----------------------------------------------------------------------------------------------------

_ADD_WORDS = "INSERT INTO {table}_words (rowid, {column}) VALUES (new.id, new.{column})"
_REMOVE_WORDS = (
    "INSERT INTO {table}_words ({table}_words, rowid, {column}) VALUES ('delete', old.id, old.{column})"  # FTS5's way
)
_FULL_TEXT = (
    "CREATE VIRTUAL TABLE {table}_words USING fts5({column}, content='{table}', content_rowid='id')",
    f"CREATE TRIGGER {{table}}_words_insert AFTER INSERT ON {{table}} BEGIN {_ADD_WORDS}; END",
    f"CREATE TRIGGER {{table}}_words_update AFTER UPDATE ON {{table}} BEGIN {_REMOVE_WORDS}; {_ADD_WORDS}; END",
    f"CREATE TRIGGER {{table}}_words_delete AFTER DELETE ON {{table}} BEGIN {_REMOVE_WORDS}; END",
)


# --- the audit log ------------------------------------------------------------------------------------------------

_PROTECTION = (
    "CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} BEGIN"
    " SELECT RAISE(ABORT, 'Rows of {table} are not edited: manage.py audit unprotect allows it'); END"
)
_REFUSING = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = %s)"


def _triggers(tables: Sequence[str], sql: str) -> list[str]:
    return [sql.format(table=table, verb=verb) for table in tables for verb in ("UPDATE", "DELETE")]


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
