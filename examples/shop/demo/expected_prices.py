"""What products must have cost, computed from the catalogue and the repricings and nothing else.

Like `expected`, this imports nothing of the shop and has parsers of its own; it follows one album after the other
through all repricings, where the shop changes all albums by one statement.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple


class Repricing(NamedTuple):
    """A line of the file of repricings; no genre is every genre."""

    day: date
    genre: str
    cents: int


class Change(NamedTuple):
    """A price that became another one."""

    day: date
    old: int
    new: int


@dataclass(frozen=True)
class Prices:
    """The changes of the price of each album, by its title, the price that it has in the end, and the repricings."""

    changes: dict[str, tuple[Change, ...]]
    last: dict[str, int]
    repricings: tuple[Repricing, ...]


def compute(catalogue: Iterable[str], repricings: Iterable[str], until: date) -> Prices:
    """Compute the prices of the lines of both files, up to a day."""
    days = tuple(day for day in map(_repricing, csv.DictReader(repricings)) if day.day <= until)
    changes, last = {}, {}
    for row in csv.DictReader(catalogue):
        opening, genres = _cents(row["price"]), row["genres"].split(";")
        followed = tuple(_follow(opening, [day for day in days if not day.genre or day.genre in genres]))
        changes[row["title"]] = followed
        last[row["title"]] = followed[-1].new if followed else opening
    return Prices(changes, last, days)


def from_files(catalogue: Path, repricings: Path, until: date) -> Prices:
    """Compute the prices of both files, up to a day."""
    with catalogue.open(encoding="utf-8", newline="") as albums, repricings.open(encoding="utf-8", newline="") as days:
        return compute(albums, days, until)


def _follow(price: int, repricings: Iterable[Repricing]) -> Iterator[Change]:
    for day, _, cents in repricings:
        yield Change(day, price, price + cents)
        price += cents


def _repricing(row: dict[str, str]) -> Repricing:
    year, month, day = row["day"].split("-")
    return Repricing(date(int(year), int(month), int(day)), row["genre"], int(row["cents"]))


def _cents(price: str) -> int:
    whole, fraction = price.split(".")
    return int(whole + fraction)
