"""MySQL and MariaDB, which have one vendor in Django."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import ROUND_HALF_UP
from functools import partial
from json import dumps
from typing import Any

from django.db import Error, OperationalError

from heliograph.databases.general import Database
from heliograph.databases.pieces import SQL, Clock, Problem


class MySQL(Database):
    """MySQL and MariaDB, by mysqlclient or PyMySQL."""

    vendor = "mysql"
    engine = "mysql"

    rounding = ROUND_HALF_UP

    # MariaDB makes a table of a longer list, which it may join with all rows, and a locking read waits for each of them
    # (`in_predicate_conversion_threshold`).
    most_locked_keys = 999

    describes_tables = True

    def same(self, column: str, kind: str, field: Any) -> str | None:
        """Return the condition; the bytes of texts differ also in capitals, and in spaces at their ends.

        Numbers and dates are compared as texts too: an `IntegerField` may have a column of texts, and MySQL refuses an
        UPDATE that compares the text `5 kg` with a number.
        """
        value = f"CAST(%s AS {_PRECISE[kind]})" if kind in _PRECISE else "%s"
        return " <=> ".join(f"CAST(CONVERT({one} USING utf8mb4) AS BINARY)" for one in (column, value))

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

    @contextmanager
    def limiting_statements(self, connection: Any, seconds: float) -> Iterator[None]:
        """Limit the statements of the session; on MySQL those that only read, since it limits no others."""
        is_mariadb = connection.mysql_is_mariadb
        name = "max_statement_time" if is_mariadb else "max_execution_time"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT @@{name}")
            [before] = cursor.fetchone()
            cursor.execute(f"SET SESSION {name} = {seconds if is_mariadb else int(seconds * 1000)}")
        try:
            yield
        finally:
            if connection.connection is not None:  # its own cursor: Django takes no statements after an error
                with connection.connection.cursor() as cursor:
                    cursor.execute(f"SET SESSION {name} = {before}")

    # --- the outbox -----------------------------------------------------------------------------------------------

    carries_outbox = True
    # The only clock says when the statement began; whoever writes has the locks before that.
    clock = Clock(*("UTC_TIMESTAMP(6)", "UTC_TIMESTAMP(6) + INTERVAL %s SECOND") * 2)
    most_parameters = 2**16 - 1  # of a statement that is prepared; the drivers write parameters into the text

    def quoted(self, name: str) -> str:
        return f"`{name}`"

    def exact_text(self, kind: str) -> str:
        """Return the type of a column with capitals and small letters: in others they are the same."""
        return f"{kind} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

    def lacks_character(self, error: BaseException) -> bool:
        if isinstance(error, OperationalError):  # as PyMySQL has it
            return error.args[:1] == (_INCORRECT_STRING,)
        return super().lacks_character(error)

    def lock(self, connection: Any, numbers: Sequence[int], at_end: Callable[[Callable[[], None]], None]) -> None:
        """Take locks until the end of the transaction: the server would keep them for the session."""
        names = [_name_of(connection, number) for number in numbers]
        at_end(partial(_unlock, connection, names))  # also if only some of them can be had
        with connection.cursor() as cursor:
            locking = ", ".join(["GET_LOCK(%s, %s)"] * len(names))
            cursor.execute(f"SELECT {locking}", [value for name in names for value in (name, SECONDS_LOCKED)])
            if set(cursor.fetchone()) != {1}:
                raise OperationalError(f"The locks {', '.join(names)} were not free within {SECONDS_LOCKED} s.")

    def has_begun(self, connection: Any) -> bool:
        """Return whether a connection is in a transaction. mysqlclient does not say so: MariaDB is asked then."""
        status = getattr(connection.connection, "server_status", None)
        return _says_so(connection) if status is None else bool(status & _STATUS_IN_TRANSACTION)

    # --- the audit log --------------------------------------------------------------------------------------------

    bigint = "SIGNED"

    def table_of_texts(self, connection: Any, columns: Sequence[Sequence[str]]) -> SQL:
        names = ", ".join(f"c{at} LONGTEXT PATH '$[{at}]'" for at in range(len(columns)))
        return f"JSON_TABLE(%s, '$[*]' COLUMNS ({names})) given", [dumps([*zip(*columns, strict=True)])]

    def open_writers(self, connection: Any, table: str, since: Any) -> int:
        """Return how many there are; the server does not say of which table. The user needs the privilege PROCESS."""
        with connection.cursor() as cursor:
            # InnoDB answers from a copy of its list, which it renews when nobody has asked for 0.1 s.
            cursor.execute("DO SLEEP(0.15)")
            cursor.execute(_OPEN_WRITERS, [connection.ops.adapt_datetimefield_value(since)])
            count: int = cursor.fetchone()[0]
        return count

    def protection(self, tables: Sequence[str]) -> Sequence[str]:
        """Return the statements; TRUNCATE calls no trigger."""
        return [*self.without_protection(tables), *_triggers(tables, _PROTECTION)]

    def without_protection(self, tables: Sequence[str]) -> Sequence[str]:
        return _triggers(tables, "DROP TRIGGER IF EXISTS `{table}_{verb}_refused`")

    def is_protected(self, connection: Any, table: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT EXISTS ({_TRIGGERS})", [f"{table}_%_refused"])
            return bool(cursor.fetchone()[0])

    @contextmanager
    def unprotected(self, connection: Any, tables: Sequence[str]) -> Iterator[None]:
        """Let the session change rows, by a variable of its own."""
        with connection.cursor() as cursor:
            cursor.execute("SET @heliograph_unprotected = 1")
            try:
                yield
            finally:
                cursor.execute("SET @heliograph_unprotected = NULL")

    # --- full text ------------------------------------------------------------------------------------------------

    has_full_text = True

    def full_text_index(self, table: str, column: str) -> Sequence[str]:
        return [f"CREATE FULLTEXT INDEX {table}_{column}_words ON {table} ({column})"]

    def without_full_text_index(self, table: str, column: str) -> Sequence[str]:
        return [f"DROP INDEX {table}_{column}_words ON {table}"]

    def full_text_query(self, words: Sequence[str]) -> str:
        """Return the words that InnoDB indexes: with one that it leaves out, no row would be found."""
        indexed = (word for word in words if len(word) >= _SHORTEST_WORD and word.lower() not in _STOPWORDS)
        return " ".join(f"+{word}" for word in indexed)

    def full_text_condition(self, table: str, key: str, column: str) -> str:
        return f"MATCH ({column}) AGAINST (%s IN BOOLEAN MODE)"

    full_text_rank = full_text_condition  # its value is the rank

    # --- system checks --------------------------------------------------------------------------------------------

    def most_connections(self, connection: Any) -> int:
        with connection.cursor() as cursor:
            cursor.execute(_MOST_CONNECTIONS)
            most: int = cursor.fetchone()[0]
        return most

    def problems(self, connection: Any) -> Iterator[Problem]:
        if not connection.features.has_select_for_update_skip_locked:
            yield Problem(
                "E108",
                f"{connection.display_name} {'.'.join(map(str, connection.mysql_version))} has no SKIP LOCKED, without"
                " which workers wait for each other.",
                "Use MariaDB 10.6 or newer, or MySQL 8.0.1 or newer.",
            )


# The types of columns whose texts always have fractions of seconds, as those of Django's columns do.
_PRECISE = {"DateTimeField": "DATETIME(6)", "TimeField": "TIME(6)"}

_INCORRECT_STRING = 1366  # the number of an error
_STATUS_IN_TRANSACTION = 1  # the bit of the status that the server sends with each answer

SECONDS_LOCKED = 50  # how long a transaction waits for a lock: as InnoDB waits for a row by default

# As a server has them that is not set otherwise: innodb_ft_min_token_size, and the words of this length or more in
# information_schema.innodb_ft_default_stopword.
_SHORTEST_WORD = 3
_STOPWORDS = {
    *("about", "are", "com", "for", "from", "how", "that", "the", "this", "und", "was", "what", "when", "where", "who"),
    *("will", "with", "www"),
}

_MOST_CONNECTIONS = "SELECT least(@@max_connections, coalesce(nullif(@@max_user_connections, 0), @@max_connections))"


def _name_of(connection: Any, number: int) -> str:
    """Return the name of a lock: locks belong to the server, so its other databases need other names."""
    return f"heliograph {zlib.crc32(connection.settings_dict['NAME'].encode()):08x} {number}"


def _unlock(connection: Any, names: Sequence[str]) -> None:
    with suppress(Error), connection.cursor() as cursor:  # a connection that was lost has no locks
        cursor.execute(f"DO {', '.join(['RELEASE_LOCK(%s)'] * len(names))}", names)


def _says_so(connection: Any) -> bool:
    """Ask MariaDB whether a connection is in a transaction; MySQL cannot be asked."""
    if not connection.mysql_is_mariadb:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@in_transaction")
            return bool(cursor.fetchone()[0])
    except Error:  # of a connection that is lost, and its transaction with it
        return False


# --- the audit log ------------------------------------------------------------------------------------------------

# The server does not say which tables a transaction has written, and has the transactions of other databases too. A
# statement that waits, or that is at work, has locked its tables and may have modified no row yet. The beginning of a
# transaction is known to the second, and both clocks may differ by one.
_OPEN_WRITERS = (
    "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist"
    " ON processlist.id = trx_mysql_thread_id WHERE processlist.id <> connection_id()"
    " AND coalesce(db, DATABASE()) = DATABASE()"
    " AND (trx_rows_modified > 0 OR trx_tables_locked > 0)"
    " AND trx_started <= NOW() - INTERVAL TIMESTAMPDIFF(SECOND, %s, UTC_TIMESTAMP(6)) SECOND + INTERVAL 2 SECOND"
)
_PROTECTION = (
    "CREATE TRIGGER `{table}_{verb}_refused` BEFORE {verb} ON `{table}` FOR EACH ROW"
    " IF @heliograph_unprotected IS NULL THEN SIGNAL SQLSTATE '45000'"
    " SET MESSAGE_TEXT = 'Rows of {table} are not edited: manage.py audit unprotect allows it'; END IF"
)
_TRIGGERS = "SELECT 1 FROM information_schema.triggers WHERE trigger_schema = DATABASE() AND trigger_name LIKE %s"


def _triggers(tables: Sequence[str], sql: str) -> list[str]:
    return [sql.format(table=table, verb=verb) for table in tables for verb in ("UPDATE", "DELETE")]


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
