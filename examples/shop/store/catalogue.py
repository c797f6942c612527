"""The albums that the shop opens with. They are invented, since the data of the purchases have no titles."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

OPENING_DAY = date(1996, 12, 31)
PATH = Path(__file__).with_name("catalogue.csv")


@dataclass(frozen=True)
class Album:
    """A line of the catalogue."""

    artist: str
    title: str
    year: int
    genres: tuple[str, ...]
    cents: int


def read(path: Path = PATH) -> Iterator[Album]:
    """Yield the albums in the order of the file."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield _album(**row)


def _album(artist: str, title: str, year: str, genres: str, price: str) -> Album:
    return Album(artist, title, int(year), tuple(genres.split(";")), int(Decimal(price) * 100))
