"""Pieces of statements that databases give, and the values that go in and out of the methods of `Database`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SQL = tuple[str, list[Any]]  # a piece of SQL, with its parameters

ROW_NUMBER = "heliograph_number"  # the column of `Database.at_locators`


@dataclass(frozen=True)
class Partition:
    """A part of a table: a range of ids, or the rest, which is called the default partition."""

    name: str
    first: int | None  # None if it has no lower bound
    end: int | None  # the id after its last one; None for the default partition


@dataclass(frozen=True)
class Marks:
    """Columns that say, after INSERT ... ON CONFLICT DO UPDATE, whether a row was inserted or updated.

    These are the marks of a table that has none: each row may have been inserted, unless it was locked before.
    """

    connection: Any
    table: str  # its name, quoted

    columns = ""  # SQL, appended to the columns of RETURNING

    def are_insertions(self, marks: Sequence[Sequence[Any]]) -> Sequence[bool]:
        """Return for each row whether it may have been inserted, from its values of `columns`."""
        return [True] * len(marks)


@dataclass(frozen=True)
class Clock:
    """The clock of a database: SQL for four times, in UTC and in the form in which Django stores times."""

    now: str  # when the statement began, as an index can be searched for
    later: str  # the time after an interval, which is a parameter: `Database.interval`
    # The same when a row is written: the statement may have waited for a lock since it began.
    now_at_last: str
    later_at_last: str


@dataclass(frozen=True, eq=False)
class Insertion:
    """The columns of rows that are inserted: names in quotes."""

    table: str
    columns: Sequence[str]  # each row has a value for these
    constants: Mapping[str, str]  # columns with the same SQL in all rows

    def into(self, columns: Sequence[str]) -> str:
        """Return the beginning of an INSERT that gives values for these columns, and then for the constants."""
        return f"INSERT INTO {self.table} ({', '.join((*columns, *self.constants))})"

    @cached_property
    def constant_values(self) -> str:
        """The SQL of the constants, in order."""
        return ", ".join(self.constants.values())

    @cached_property
    def row(self) -> str:
        """The SQL of one row after VALUES."""
        return f"({', '.join(['%s'] * len(self.columns))}, {self.constant_values})"


@dataclass(frozen=True)
class Problem:
    """A problem that the outbox has with a database, in the words of a system check."""

    number: str  # of the check, such as "E108": an error, or "W101": a warning
    text: str
    hint: str
