"""The purchases that are replayed."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Self

PATH = Path(__file__).resolve().parents[2] / "data" / "cdnow_sample.txt"


@dataclass(frozen=True)
class Purchase:
    """A line of the data."""

    cdnow_number: int
    customer: int
    day: date
    cds: int
    cents: int

    @property
    def week(self) -> tuple[int, int]:
        """The year and the number of the week."""
        year, week, _ = self.day.isocalendar()
        return year, week

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line such as `00004 0001 19970101  2   29.33`."""
        cdnow_number, customer, day, cds, dollars = line.split()
        return cls(
            cdnow_number=int(cdnow_number),
            customer=int(customer),
            day=datetime.strptime(day, "%Y%m%d").date(),
            cds=int(cds),
            cents=int(Decimal(dollars) * 100),
        )

    def prices(self) -> list[int]:
        """Return the price of each CD in cents; they add up to the value exactly, and differ by one cent at most."""
        price, rest = divmod(self.cents, self.cds)
        return [price + 1] * rest + [price] * (self.cds - rest)


def read(path: Path = PATH) -> list[Purchase]:
    """Return the purchases of a file in the order in which they were made."""
    lines = enumerate(path.read_text(encoding="ascii").splitlines(), start=1)
    return sorted((_parse(line, number, path) for number, line in lines), key=lambda purchase: purchase.day)


def _parse(line: str, number: int, path: Path) -> Purchase:
    try:
        return Purchase.parse(line)
    except ValueError as error:
        raise ValueError(f"Line {number} of {path.name} is no purchase: {line!r}") from error
