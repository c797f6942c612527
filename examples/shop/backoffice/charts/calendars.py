"""Days as shaded squares, a column for each week."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, pairwise
from math import ceil, sqrt

from analytics.models import DailyStatistics
from backoffice.formats import money, over

SIZE, PITCH, TOP = 11, 14, 18
SHADES = 4


@dataclass(frozen=True)
class Cell:
    """A day, shaded from 0 (nothing sold) to 4."""

    x: int
    y: int
    shade: int
    text: str
    size: int = SIZE


@dataclass(frozen=True)
class Label:
    """A month, named above its first week."""

    x: int
    day: date


@dataclass(frozen=True)
class Calendar:
    """The days of a year."""

    year: int
    cells: tuple[Cell, ...]
    months: tuple[Label, ...]
    width: int = 53 * PITCH
    height: int = 7 * PITCH + TOP


def of_days(rows: Sequence[DailyStatistics]) -> list[Calendar]:
    """Draw the orders of every day, a calendar for each year and the same shades for all."""
    most = max((row.orders for row in rows), default=0)
    years = groupby(_every_day(rows), lambda row: row.day.year)
    return [_calendar(year, list(days), most) for year, days in years]


def _every_day(rows: Sequence[DailyStatistics]) -> Iterator[DailyStatistics]:
    """Yield the days from the first to the last one, also those on which nothing was sold."""
    yield from rows[:1]
    for before, row in pairwise(rows):
        missing = range(1, (row.day - before.day).days)
        yield from (DailyStatistics(day=before.day + timedelta(days)) for days in missing)
        yield row


def _calendar(year: int, rows: Sequence[DailyStatistics], most: int) -> Calendar:
    months = range(rows[0].day.month, rows[-1].day.month + 1)
    return Calendar(
        year=year,
        cells=tuple(_cell(row, most) for row in rows),
        months=tuple(_label(date(year, month, 1)) for month in months),
    )


def _cell(row: DailyStatistics, most: int) -> Cell:
    return Cell(
        x=_week(row.day) * PITCH,
        y=row.day.weekday() * PITCH + TOP,
        shade=ceil(SHADES * sqrt(over(row.orders, most))),
        text=f"{row.day:%d %b %Y}: {row.orders} orders, {row.cds} CDs, {money(row.cents)}",
    )


def _label(first: date) -> Label:
    return Label(_week(first) * PITCH, first)


def _week(day: date) -> int:
    """Return the week of the year, the first one from New Year's Day to the first Sunday."""
    new_year = date(day.year, 1, 1)
    return ((day - new_year).days + new_year.weekday()) // 7
