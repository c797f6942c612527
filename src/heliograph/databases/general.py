"""The general database: the interface of all databases, and what is true of one that nobody has described."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, ClassVar

from django.db import DataError, NotSupportedError

from heliograph.databases.pieces import SQL, Clock, Insertion, Marks, Partition, Problem


class Database:
    """The capabilities of a database. A subclass claims those that it has, and gives the SQL that they need.

    Facts that Django knows are asked of `connection.features`: whether rows can be locked, how strongly, and whether
    locked rows can be skipped.
    """

    vendor: ClassVar[str] = ""  # `connection.vendor` of Django

    # --- values ---------------------------------------------------------------------------------------------------

    rounding: ClassVar[str | None] = None  # how a column of decimals rounds, as in `decimal`; None if it is not known

    def stored_decimal(self, value: Decimal, decimal_places: int, digits: int | None) -> Decimal | None:
        """Return a number as a column with so many decimal places stores it; None if the rounding is not known.

        A number with more than `digits` digits is returned as it is: the database refuses it.
        """
        if self.rounding is None and int(value.as_tuple().exponent) < -decimal_places:
            return None
        try:
            rounding = self.rounding or ROUND_HALF_UP
            return value.quantize(Decimal(1).scaleb(-decimal_places), rounding, Context(prec=digits))
        except InvalidOperation:
            return value

    def same(self, column: str, kind: str, field: Any) -> str | None:
        """Return a condition that holds if a column has exactly the value of its one parameter, or if both are NULL.

        Texts are compared letter by letter, whatever the collation of the column. `kind` is the internal type of the
        field. None if no such condition is known.
        """
        return None

    # --- locks and transactions -----------------------------------------------------------------------------------

    has_one_writer: ClassVar[bool] = False  # whether a transaction that writes locks the whole database

    @contextmanager
    def beginning_as_writer(self, connection: Any) -> Iterator[bool]:
        """Let a transaction that begins in the block lock the database at once, where `has_one_writer`.

        Yields whether such a transaction certainly has the lock; False if the settings of the project decide.
        """
        yield False

    def begins_as_reader(self, connection: Any) -> bool:
        """Return whether a transaction takes its lock for writing only when it writes, and may be refused then."""
        return False

    aborts: ClassVar[bool] = False  # whether a transaction accepts no more statements after an error

    def is_aborted(self, connection: Any) -> bool:
        """Return whether the open transaction accepts no more statements, and its COMMIT would be a ROLLBACK."""
        return False

    def check_deferred_constraints(self, connection: Any) -> None:
        """Check the constraints that wait for the commit; Django's `Error` says which rows break them.

        A database that defers no constraint has checked each statement: to check whole tables again would take long.
        """
        if connection.features.can_defer_constraint_checks:
            connection.check_constraints()

    @contextmanager
    def limiting_statements(self, connection: Any, seconds: float) -> Iterator[None]:
        """Let a statement of the open transaction that takes longer raise OperationalError, where the database can."""
        yield

    undoes_sequences: ClassVar[bool] = False  # whether a rollback gives the numbers back that new rows have got

    def has_snapshot(self, connection: Any) -> bool:
        """Return whether all statements of a transaction see the database as it was at the first one."""
        level = getattr(connection, "isolation_level", "read committed")
        name = str(getattr(level, "name", level)).lower().replace("_", " ")
        return name not in ("read committed", "read uncommitted")

    most_locked_keys: ClassVar[int | None] = None  # of one condition that locks the rows with these keys and no others

    # --- bulk writes ----------------------------------------------------------------------------------------------

    # Whether an UPDATE with a subquery in FROM, which locks the rows, can return their old and new values.
    updates_from_subquery: ClassVar[bool] = False
    # Whether RETURNING of an UPDATE of a view has the stored values, also those that an INSTEAD OF trigger has changed.
    returns_rows_of_views: ClassVar[bool] = False
    # Whether a locked row keeps the values of its locators until it is updated, and `at_locators` can find it by them.
    keeps_locators: ClassVar[bool] = False
    # Whether `has_key` and `has_no_triggers` can say that a table is ordinary.
    describes_tables: ClassVar[bool] = False

    def returns_rows(self, connection: Any, *, of: str) -> bool:
        """Return whether an "INSERT", "UPDATE" or "DELETE" can return the rows that it has written."""
        return False

    def has_key(self, connection: Any, table: str, columns: Sequence[str]) -> SQL:
        """Return a condition that holds if no two rows of a table can have the same values in these columns."""
        return "1 = 0", []

    def has_no_triggers(self, connection: Any, table: str) -> SQL:
        """Return a condition that holds if no trigger of a table can change the values of an UPDATE."""
        return "1 = 0", []

    def locators(self, connection: Any, table: str) -> Sequence[str]:
        """Return the columns, quoted for SQL, that identify a row of a table; none if there are no such columns."""
        return ()

    def at_locators(self, table: str) -> str:
        """Return what follows the SET of an UPDATE of rows that are given by their locators.

        It has one parameter for each locator, the list of its values, and a column ROW_NUMBER: the number of the row
        in these lists, from 1. `table` is quoted.
        """
        raise NotImplementedError

    def insertion_marks(self, connection: Any, table: str) -> Marks:
        """Return the columns that say of each row after an upsert whether it was inserted."""
        return Marks(connection, connection.ops.quote_name(table))

    # --- the outbox -----------------------------------------------------------------------------------------------

    # Whether the outbox runs here: what follows is described, and tested.
    carries_outbox: ClassVar[bool] = False

    clock: ClassVar[Clock] = Clock(
        *("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP + %s * INTERVAL '1' SECOND") * 2  # the standard of SQL
    )

    def interval(self, seconds: float) -> Any:
        """Return so many seconds, or as many ago if they are negative, as the parameter of `clock.later`."""
        return seconds

    def time_of_insertion(self) -> SQL:
        """Return the time at which a row is inserted, to the microsecond: it is compared with times of processes."""
        return self.clock.now_at_last, []

    def quoted(self, name: str) -> str:
        """Return a name in quotes, for statements that are made before there is a connection."""
        return f'"{name}"'

    def exact_text(self, kind: str) -> str:
        """Return the type of a column whose texts are compared letter by letter, given its type without that."""
        return kind

    def lacks_character(self, error: BaseException) -> bool:
        """Return whether an error may say that a text has a letter that the character set of the database lacks."""
        return isinstance(error, DataError | UnicodeError)

    most_parameters: ClassVar[int] = 999  # of one statement; the smallest limit of the known databases

    def insert(
        self, connection: Any, insertion: Insertion, rows: Sequence[Sequence[Any]], locks: Sequence[int] = ()
    ) -> list[int]:
        """Insert rows by as few statements as possible, and return their ids (the column `id`) in the same order.

        `locks` are numbers that were given to `lock`; a database may take them in the first of the statements.
        """
        most, ids = max(self.most_parameters // len(insertion.columns), 1), list[int]()
        with connection.cursor() as cursor:
            for start in range(0, len(rows), most):
                ids += self._inserted(connection, cursor, insertion, rows[start : start + most], locks)
        return ids

    def _inserted(
        self, connection: Any, cursor: Any, insertion: Insertion, rows: Sequence[Sequence[Any]], locks: Sequence[int]
    ) -> list[int]:
        """Insert rows by one statement; without RETURNING, their ids follow each other from the one that is given."""
        sql = f"{insertion.into(insertion.columns)} VALUES {', '.join([insertion.row] * len(rows))}"
        returns = self.returns_rows(connection, of="INSERT")
        cursor.execute(f"{sql} RETURNING id" if returns else sql, [value for row in rows for value in row])
        if returns:
            return [number for (number,) in cursor.fetchall()]
        return [*range(cursor.lastrowid, cursor.lastrowid + len(rows))]

    def lock(self, connection: Any, numbers: Sequence[int], at_end: Callable[[Callable[[], None]], None]) -> None:
        """Take locks, in this order, which other transactions wait for until this one has ended, or let `insert` do it.

        `at_end` is given what is to be called when the transaction has ended.
        """

    def row_lock(self, alias: str, *, skips_locked: bool = False) -> str:
        """Return what follows a SELECT that locks rows of a table with this alias, as an UPDATE locks them.

        `skips_locked` leaves out the rows that another transaction has locked.
        """
        return " FOR UPDATE SKIP LOCKED" if skips_locked else " FOR UPDATE"

    def has_begun(self, connection: Any) -> bool:
        """Return whether a connection is in a transaction, also in one of which Django does not know."""
        return False

    # --- waking ---------------------------------------------------------------------------------------------------

    has_notices: ClassVar[bool] = False  # whether a session can listen to notices that another one sends
    counts_writes: ClassVar[bool] = False  # whether a session can ask cheaply whether another one has written

    def notify(self, connection: Any, channel: str, text: str) -> None:
        """Send a notice, in autocommit."""
        raise NotImplementedError

    def listen(self, connection: Any, channel: str) -> None:
        """Begin to listen to a channel."""
        raise NotImplementedError

    def wait_for_notice(self, connection: Any, seconds: float) -> bool:
        """Wait until a session that listens has been sent notices, or for a time; return whether it has."""
        raise NotImplementedError

    def count_of_writes(self, connection: Any) -> int:
        """Return a number that changes when another session has written."""
        raise NotImplementedError

    # --- system checks --------------------------------------------------------------------------------------------

    def most_connections(self, connection: Any) -> int | None:
        """Return how many connections the user of a database may have at once; None if there is no limit."""
        return None

    def problems(self, connection: Any) -> Iterator[Problem]:
        """Yield what hinders the outbox on this server, in this version, with these settings."""
        yield from ()

    # --- the audit log --------------------------------------------------------------------------------------------

    inserts_within: ClassVar[bool] = False  # whether WITH may have an INSERT that returns the ids of its rows
    bigint: ClassVar[str] = "BIGINT"  # what a text is cast to, so that it is an integer of 64 bits

    def table_of_texts(self, connection: Any, columns: Sequence[Sequence[str]]) -> SQL:
        """Return a table for FROM, with a row for each text in these columns, whose names are c0, c1 and so on."""
        names = ", ".join(f"%s AS c{at}" for at in range(len(columns)))
        rows = [*zip(*columns, strict=True)]
        return f"({' UNION ALL '.join([f'SELECT {names}'] * len(rows))}) given", [one for row in rows for one in row]

    def in_utc(self, column: str) -> str:
        """Return the SQL of a time in UTC, whatever the settings of the project and of the session are."""
        return column

    def open_writers(self, connection: Any, table: str, since: Any) -> int:
        """Return how many other transactions are open that may have written a table and began before a time.

        `since` is a time of this database's `clock`. A transaction whose beginning is hidden from this user counts.
        """
        raise NotSupportedError(f"Nobody has described which transactions are open on {connection.vendor}.")

    def protection(self, tables: Sequence[str]) -> Sequence[str]:
        """Return the statements that let a database refuse to change or delete the rows of tables."""
        raise NotSupportedError(f"Nobody has described triggers of {self.vendor}.")

    def without_protection(self, tables: Sequence[str]) -> Sequence[str]:
        """Return the statements that undo `protection`, whether it is there or not."""
        return ()

    def is_protected(self, connection: Any, table: str) -> bool:
        """Return whether a table has the triggers of `protection`."""
        return False

    @contextmanager
    def unprotected(self, connection: Any, tables: Sequence[str]) -> Iterator[None]:
        """Let the open transaction change rows of protected tables in the block, and no other transaction."""
        yield

    # --- partitions -----------------------------------------------------------------------------------------------

    # Whether a table that has rows can become one of partitions by ranges of its id: the rest is described then.
    has_partitions: ClassVar[bool] = False

    def partitions(self, connection: Any, table: str) -> Sequence[Partition]:
        """Query for the partitions of a table in the order of their ids; the default partition is the last."""
        return ()

    def last_id(self, connection: Any, table: str) -> int:
        """Query for the highest id that a table has given to a row, also to one of an open transaction."""
        raise NotImplementedError

    def partition_hindrances(self, connection: Any, table: str) -> Sequence[str]:
        """Query for what hinders `partition`, such as "the view orders"."""
        return ()

    def bounded(self, connection: Any, table: str, end: int) -> AbstractContextManager[None]:
        """Let the database verify, before the block of `partition`, that all ids of a table are below an end."""
        raise NotImplementedError

    def partition(self, connection: Any, table: str, end: int) -> None:
        """Let the rows of a table, in the open transaction, be the first of its partitions, with the ids below an end.

        A default partition takes the ids that no other one has.
        """
        raise NotImplementedError

    def add_partition(self, connection: Any, table: str, first: int, end: int) -> None:
        """Add a partition for a range of ids, which no row has, in the open transaction."""
        raise NotImplementedError

    def freeze_partition(self, connection: Any, name: str) -> None:
        """Let nobody write to a partition until the open transaction has ended."""
        raise NotImplementedError

    def drop_partition(self, connection: Any, name: str) -> None:
        """Drop a partition with its rows in the open transaction, as its last statement."""
        raise NotImplementedError

    def is_lock_timeout(self, error: BaseException) -> bool:
        """Return whether one of these methods has waited too long for another transaction."""
        return False

    # --- full text ------------------------------------------------------------------------------------------------

    has_full_text: ClassVar[bool] = False  # whether the words of a column can be indexed: the rest is described then

    def full_text_index(self, table: str, column: str) -> Sequence[str]:
        """Return the statements that index the words of a column, in a table with an integer key named id."""
        return ()

    def without_full_text_index(self, table: str, column: str) -> Sequence[str]:
        """Return the statements that undo `full_text_index`."""
        return ()

    def full_text_query(self, words: Sequence[str]) -> str:
        """Return the parameter with which the next two methods ask for rows that have all these words."""
        raise NotImplementedError

    def full_text_condition(self, table: str, key: str, column: str) -> str:
        """Return a condition with one parameter, which holds for a row with the words; `key` is the SQL of its id."""
        raise NotImplementedError

    def full_text_rank(self, table: str, key: str, column: str) -> str:
        """Return a number with one parameter, which is the higher the better a row fits; only for rows that do."""
        raise NotImplementedError

    # --- schemas --------------------------------------------------------------------------------------------------

    engine: ClassVar[str] = ""  # a part of the ENGINE in the settings of a project, also of engines of other packages
    has_search_path: ClassVar[bool] = False  # whether a connection has a search path of schemas, which may change

    def default_search_path(self, connection: Any) -> tuple[str, ...]:
        """Query for the search path with which a connection begins."""
        return ()

    def search_path(self, connection: Any) -> tuple[str, ...]:
        """Query for the search path of a connection, by the driver itself: Django neither logs nor counts the query."""
        return ()

    def reported_search_path(self, connection: Any) -> tuple[str, ...] | None:
        """Return the search path that the server has reported to the driver; None if it does not."""
        return None

    def schemas_with(self, connection: Any, table: str, path: Sequence[str]) -> set[str]:
        """Query for the schemas of a search path that have a table."""
        return set()
