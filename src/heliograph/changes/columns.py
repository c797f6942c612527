"""Columns: the values of many rows, which stay as the database has sent them until somebody asks for a column.

A decimal or a date of SQLite takes longer to convert than to read, and a receiver asks for few of the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

Row = Sequence[Any]
Converters = Mapping[int, Callable[[Row], Row]]  # for columns whose values differ from what the database sends


@dataclass(slots=True, eq=False)
class Columns:
    """Rows of equal length."""

    sent: Sequence[Row]  # as the database has sent them
    converters: Converters = field(default_factory=dict)
    _converted: dict[int, Sequence[Any]] = field(default_factory=dict)

    def __getitem__(self, at: int) -> Sequence[Any]:
        """Return a column; its values are converted once, so that they are the same objects each time."""
        column = self._converted.get(at)
        if column is None:
            column = [row[at] for row in self.sent]
            if at in self.converters:
                column = self.converters[at](column)
            self._converted[at] = column
        return column

    def rows(self, width: int) -> list[Row]:
        """Return the first values of each row."""
        return [*zip(*(self[at] for at in range(width)), strict=True)]

    def only(self, positions: Sequence[int]) -> Columns:
        """Return the rows at these positions."""
        some = Columns([self.sent[at] for at in positions], self.converters)
        some._converted.update({at: [column[one] for one in positions] for at, column in self._converted.items()})
        return some


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that all rows have."""

    value: Any


Source = int | Constant  # the number of a column, or a value in place of one


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
    def __getitem__(self, position: int) -> Any: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Any]: ...
    def __getitem__(self, position: int | slice) -> Any:
        if isinstance(position, slice):
            return [*map(self._value, self._sources[position])]
        return self._value(self._sources[position])

    def __iter__(self) -> Iterator[Any]:
        return map(self._value, self._sources)

    def _value(self, source: Source) -> Any:
        return source.value if isinstance(source, Constant) else self._table[source][self._at]
