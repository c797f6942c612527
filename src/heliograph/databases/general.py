"""The general database: the interface of all databases, and what is true of one that nobody has described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, ClassVar

from heliograph.databases.pieces import SQL, Marks


class Database:
    """What a database can do. A subclass claims its capabilities, and gives the SQL that they need.

    Facts that Django knows are asked of `connection.features`: whether rows can be locked, how strongly, and whether
    locked rows can be skipped.
    """

    vendor: ClassVar[str] = ""  # `connection.vendor`

    # --- values ---------------------------------------------------------------------------------------------------

    rounding: ClassVar[str | None] = None  # how a column of decimals rounds, as in `decimal`; None if it is not known

    def stored_decimal(self, value: Decimal, places: int, digits: int | None) -> Decimal | None:
        """Return a number as a column with so many decimal places stores it; None if the rounding is not known.

        A number with more than `digits` digits is returned as it is: the database refuses it.
        """
        if self.rounding is None and int(value.as_tuple().exponent) < -places:
            return None
        try:
            return value.quantize(Decimal(1).scaleb(-places), self.rounding or ROUND_HALF_UP, Context(prec=digits))
        except InvalidOperation:
            return value

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

    def is_aborted(self, connection: Any) -> bool:
        """Return whether the open transaction accepts no more statements, and its COMMIT would be a ROLLBACK."""
        return False

    # --- bulk writes ----------------------------------------------------------------------------------------------

    # Whether an UPDATE with a subquery in FROM, which locks the rows, can return their old and new values.
    updates_from_subquery: ClassVar[bool] = False
    # Whether RETURNING of an UPDATE of a view has the stored values, also those that an INSTEAD OF trigger has changed.
    returns_rows_of_views: ClassVar[bool] = False
    # Whether a locked row keeps the values of its locators until it is updated, and `at_places` can find it by them.
    keeps_places: ClassVar[bool] = False
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

    def at_places(self, table: str) -> str:
        """Return what follows the SET of an UPDATE of the rows at these places.

        It has one parameter for each locator, the list of its values, and a column PLACE_NUMBER: the number of the row
        in these lists, from 1. `table` is quoted.
        """
        raise NotImplementedError

    def insertion_marks(self, connection: Any, table: str) -> Marks:
        """Return the columns that say of each row after an upsert whether it was inserted."""
        return Marks(connection, connection.ops.quote_name(table))
