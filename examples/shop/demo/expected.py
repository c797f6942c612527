"""What the statistics must be, computed from the file of purchases and nothing else.

This module imports nothing of the shop, reads the file with a parser of its own and sums up sorted lines instead of
adding one order at a time: a mistake in the shop, in its models or in the replay cannot be made here a second time.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Line(NamedTuple):
    """A line of the file; money in cents."""

    customer: int
    day: date
    cds: int
    cents: int


@dataclass(frozen=True)
class Sales:
    """What was bought, and when first and last."""

    orders: int
    cds: int
    cents: int
    first: date
    last: date


@dataclass(frozen=True)
class Expected:
    """The statistics of a file."""

    lines: tuple[Line, ...]
    customers: dict[int, Sales]
    days: dict[date, Sales]
    total: Sales

    def best(self, count: int) -> list[tuple[int, int]]:
        """Return the customers who spent most, each with the cents; of equal ones the lower number first."""
        ranked = sorted(self.customers.items(), key=lambda item: (-item[1].cents, item[0]))
        return [(customer, sales.cents) for customer, sales in ranked[:count]]


def compute(text: Iterable[str]) -> Expected:
    """Compute the statistics of the lines of a file."""
    lines = tuple(map(_parse, text))
    return Expected(
        lines=lines,
        customers=_grouped(lines, lambda line: line.customer),
        days=_grouped(lines, lambda line: line.day),
        total=_sum(lines),
    )


def from_file(path: Path) -> Expected:
    """Compute the statistics of a file."""
    with path.open(encoding="ascii") as file:
        return compute(file)


def _parse(text: str) -> Line:
    _, customer, day, cds, dollars = text.split()
    whole, fraction = dollars.split(".")
    return Line(int(customer), date(int(day[:4]), int(day[4:6]), int(day[6:])), int(cds), int(whole + fraction))


def _grouped(lines: Iterable[Line], key: Callable[[Line], Key]) -> dict[Key, Sales]:
    return {value: _sum(list(group)) for value, group in groupby(sorted(lines, key=key), key=key)}


def _sum(lines: Iterable[Line]) -> Sales:
    lines = list(lines)
    days = [line.day for line in lines]
    return Sales(
        orders=len(lines),
        cds=sum(line.cds for line in lines),
        cents=sum(line.cents for line in lines),
        first=min(days),
        last=max(days),
    )
