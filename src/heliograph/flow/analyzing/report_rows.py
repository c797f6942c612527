"""The rows of a report: a stage, what happens in it, a line of source, time, queries and a remark, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

# A wider text stands as it is, and moves what follows it to the right.
_WIDEST = (40, 60, 48)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a report."""

    stage: str = ""
    text: str = ""
    source: str = ""
    seconds: float | None = None
    queries: int = 0
    remark: str = ""
    depth: int = 0

    @property
    def cells(self) -> tuple[str, str, str]:
        """The columns on the left."""
        return self.stage, f"{'  ' * self.depth}{self.text}", self.source


def staged(stage: str, rows: Iterable[Row], otherwise: str = "") -> Iterator[Row]:
    """Yield rows, the first one with the name of their stage; without rows, one with the text for that."""
    found = [*rows] or [Row(text=otherwise)]
    yield replace(found[0], stage=stage)
    yield from found[1:]


def aligned(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the rows as lines."""
    columns = zip(*(row.cells for row in rows), strict=True)
    widths = [min(most, max(map(len, column))) for most, column in zip(_WIDEST, columns, strict=True)]
    for row in rows:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row.cells, widths, strict=True))
        yield f"  {left}  {_time(row):>9}  {row.queries or '':>3}  {row.remark}".rstrip()


def _time(row: Row) -> str:
    return "" if row.seconds is None else f"{row.seconds * 1000:.1f} ms"
