"""Money as bars over a scale."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from django.urls import reverse

from analytics.models import DailyStatistics
from analytics.months import Month
from backoffice.formats import money

WIDTH, HEIGHT = 760, 250
TOP, BOTTOM, LEFT = 12, 26, 46
FILLED = 0.72


@dataclass(frozen=True)
class Bar:
    """A bar, its name below it, what it says when pointed at, and where it leads."""

    x: float
    y: float
    width: float
    height: float
    name: str
    text: str
    url: str

    @property
    def middle(self) -> float:
        """Where the name goes."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class Line:
    """A line across the chart at a round number."""

    y: float
    text: str


@dataclass(frozen=True)
class BarChart:
    """Bars over a scale in dollars."""

    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    baseline: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class _Value:
    cents: int
    name: str
    text: str
    url: str = ""


def of_months(rows: Iterable[Month]) -> BarChart:
    """Draw the money of every month."""
    return _chart([_Value(row.cents, _month_name(row), _month_text(row), _month_url(row)) for row in rows])


def of_days(rows: Iterable[DailyStatistics]) -> BarChart:
    """Draw the money of every day of a month."""
    return _chart([_Value(row.cents, str(row.day.day), f"{row.day:%d %b %Y}: {money(row.cents)}") for row in rows])


def _chart(values: Sequence[_Value]) -> BarChart:
    most = max((value.cents for value in values), default=0)
    step = _round_step(most)
    top = max(step * ceil(most / step), step)
    pitch = (WIDTH - LEFT) / max(len(values), 1)
    return BarChart(
        bars=tuple(_bar(value, LEFT + index * pitch, pitch, top) for index, value in enumerate(values)),
        lines=tuple(Line(_y(cents, top), _short(cents)) for cents in range(0, top + 1, step)),
    )


def _bar(value: _Value, left: float, pitch: float, top: int) -> Bar:
    y, width = _y(value.cents, top), pitch * FILLED
    x, height = left + (pitch - width) / 2, HEIGHT - BOTTOM - y
    return Bar(round(x, 1), y, round(width, 1), round(height, 1), value.name, value.text, value.url)


def _y(cents: int, top: int) -> float:
    return round(TOP + (HEIGHT - BOTTOM - TOP) * (1 - cents / top), 1)


def _round_step(most: int) -> int:
    """Return the 1, 2 or 5 times a power of ten, in cents, of which at most five reach the largest value."""
    power = 10 ** floor(log10(max(most, 500) / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= most)


def _short(cents: int) -> str:
    return f"${cents / 100_000:g}k" if cents >= 100_000 else f"${cents // 100}"


def _month_name(row: Month) -> str:
    return f"{row.day:%b ’%y}" if row.day.month == 1 else f"{row.day:%b}"


def _month_text(row: Month) -> str:
    return f"{row.day:%B %Y}: {money(row.cents)}, {row.orders:,} orders, {row.cds:,} CDs"


def _month_url(row: Month) -> str:
    return reverse("month", args=[row.day.year, row.day.month])
