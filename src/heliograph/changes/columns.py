"""Columns: the values of many rows, which stay what the database has sent until somebody asks for a column.

A decimal or a date of SQLite takes longer to convert than to read, and a receiver asks for few of the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

Row = Sequence[Any]
Converters = Mapping[int, Callable[[Row], Row]]  # for columns whose values are not what the database sends


class Columns:
    """Rows of equal length."""

    def __init__(self, rows: Sequence[Row], converters: Converters | None = None) -> None:
        self._rows = rows
        self._converters = converters or {}
        self._converted: dict[int, Sequence[Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: int) -> Sequence[Any]:
        """Return a column; its values are converted once, so that they are the same objects each time."""
        column = self._converted.get(at)
        if column is None:
            column = [row[at] for row in self._rows]
            if at in self._converters:
                column = self._converters[at](column)
            self._converted[at] = column
        return column

    def rows(self, width: int) -> list[Row]:
        """Return the first values of each row."""
        return [*zip(*(self[at] for at in range(width)), strict=True)]

    def only(self, places: Sequence[int]) -> Columns:
        """Return the rows at these places."""
        some = Columns([self._rows[at] for at in places], self._converters)
        some._converted = {at: [column[place] for place in places] for at, column in self._converted.items()}
        return some


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that all rows have."""

    value: Any


Source = int | Constant  # the number of a column, or what stands for one


class RowOf(Sequence[Any]):
    """The values of one row, each looked up in its column when somebody asks."""

    __slots__ = ("_at", "_sources", "_table")

    def __init__(self, table: Columns, sources: Sequence[Source], at: int) -> None:
        self._table = table
        self._sources = sources
        self._at = at

    def __len__(self) -> int:
        return len(self._sources)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [*map(self._value, self._sources[place])]
        return self._value(self._sources[place])

    def __iter__(self) -> Iterator[Any]:
        return map(self._value, self._sources)

    def _value(self, source: Source) -> Any:
        return source.value if isinstance(source, Constant) else self._table[source][self._at]
