"""Pieces of statements that databases give: conditions, and the marks of rows that were inserted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SQL = tuple[str, list[Any]]  # a piece of SQL, with its parameters

PLACE_NUMBER = "heliograph_number"  # the column of `Database.at_places`


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
