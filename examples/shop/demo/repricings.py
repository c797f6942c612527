"""The days of the replay on which prices change: invented ones, as the prices are."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from store.models import Product
from store.services import reprice

PATH = Path(__file__).with_suffix(".csv")


@dataclass(frozen=True)
class Repricing:
    """A day from which on all CDs, or those of one genre, cost so many cents more, or less."""

    day: date
    genre: str
    cents: int

    def apply(self) -> None:
        """Change the prices, all by one statement."""
        products = Product.objects.filter(genres__name=self.genre) if self.genre else Product.objects.all()
        reprice(products, self.cents, self.day)


def read(path: Path = PATH) -> Iterator[Repricing]:
    """Yield the repricings in the order of the file, which is that of their days."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Repricing(date.fromisoformat(row["day"]), row["genre"], int(row["cents"]))
