"""Totals: a stock beside a total, of which the items have taken something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from heliograph.building import writing
from heliograph.recipes.inserting import locked
from heliograph.recipes.reserved.all_items import items_of
from heliograph.recipes.reserved.stocks import Stock
from heliograph.recipes.subjects import ENDS, Difference, Sample, SubjectOfRows, ends_of

FEW = 10_000  # items that a sample may read


@dataclass(frozen=True)
class SubjectOfStock(SubjectOfRows):
    """A stock, whose truth is a total of which the items have taken something."""

    stock: Stock
    total: Any

    def describe(self) -> str:
        return f"{self.label}: {self.total.name}, less {', '.join(items.label for items in items_of(self.stock))}"

    def differences(self, using: str, keys: Sequence[Any]) -> Sequence[Difference]:
        """Compare stocks; those that seem to differ are compared once more, while nobody buys the products."""
        wrong = [one.key for one in self._compared(using, keys)]
        if not wrong:
            return []
        with self._locked(using, wrong):
            return [*self._compared(using, wrong)]

    def mend(self, using: str, keys: Sequence[Any]) -> None:
        with self._locked(using, keys):
            for one in [*self._compared(using, keys)]:
                self.stock.products([one.key], using).update(**{self.stock.field.name: one.truth})

    @contextmanager
    def _locked(self, using: str, keys: Sequence[Any]) -> Iterator[None]:
        """Lock products: a transaction that has written items of them waits with their stock, and is not seen."""
        with writing(self.model, using):
            list(locked(self.stock.products(keys, using), using).values_list("pk"))
            yield

    def _compared(self, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
        taken = Counter[Any]()
        for items in items_of(self.stock):
            taken.update(items.taken(keys, using))
        products = self.stock.products(keys, using).order_by("pk")
        for key, left, total in products.values_list("pk", self.stock.field.name, self.total.name):
            if left != total - taken[key]:
                yield Difference(self.label, key, left, total - taken[key])

    def sample(self, using: str) -> Sample:
        """Compare the products at both ends; fewer if they have many items."""
        for size in (ENDS, ENDS // 10, 1):
            keys = ends_of(self.model, using, size)
            if all(items.are_few(keys, FEW, using) for items in items_of(self.stock)):
                return Sample(len(keys), [*self.differences(using, keys)])
        return Sample(0, [])


def subject_of(stock: Stock, total: Any) -> SubjectOfStock:
    """Return what `manage.py recipes verify` compares of a stock."""
    return SubjectOfStock(stock.label, stock.model, stock, total)
