"""Stocks: the sum of all units that a transaction takes is taken at its end, wholly or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import F, Model, Value

from heliograph import Batch, BeforeCommit, Signal
from heliograph.recipes.cached_parents import forget
from heliograph.recipes.chunking import in_chunks
from heliograph.recipes.declarations import Declaration
from heliograph.recipes.inserting import locked
from heliograph.recipes.stored_decimals import stored
from heliograph.recipes.subjects import CHUNK

Amounts = Mapping[Any, Any]  # how many units more are taken of which product, by its primary key; fewer are negative

# Sent for each batch of items; its receiver is called once for all of them. So if an item of an order replaces an item
# of a cart, which is another model, only the difference is taken. The receiver is called before the last calls, in
# which kept fields are changed: all transactions lock the rows of stocks first.
items_changed = Signal(name="heliograph.recipes.items_changed")


class OutOfStock(ValidationError):  # noqa: N818  # as Django names what a caller handles: DoesNotExist
    """A transaction was rolled back, because it takes `wanted` units more of `product`, and only `left` are left.

    The code of this ValidationError is "out_of_stock"; a view may give it to `form.add_error()`.
    """

    def __init__(self, product: Any, wanted: Any, left: Any) -> None:
        params = {"product": product, "wanted": wanted, "left": left}
        super().__init__("%(product)s: %(wanted)s wanted, %(left)s left.", code="out_of_stock", params=params)
        self.product, self.wanted, self.left = product, wanted, left

    def __str__(self) -> str:
        return str(self.messages[0])

    def __reduce__(self) -> Any:
        return type(self), (self.product, self.wanted, self.left)


def change_stocks(sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
    """Change stocks by what a transaction takes in all, or raise OutOfStock; then report those that are low now."""
    totals: dict[Stock, Counter[Any]] = {}
    for event in batch.events:
        totals.setdefault(event.kwargs["stock"], Counter()).update(event.kwargs["amounts"])
    for stock in sorted(totals, key=lambda one: one.label):
        stock.change(totals[stock], using)
    for event in batch.events:
        for product in event.kwargs["cached"]:
            forget(product, [event.kwargs["stock"].field.attname], using)
    for level in tuple(_low_levels):
        if level.stock in totals:
            level.report(totals[level.stock], using)


@dataclass(frozen=True)
class Stock:
    """The field of products that has the number of units that are left."""

    field: Any

    @property
    def label(self) -> str:
        """The model and its field, such as "shop.Product.stock"."""
        return f"{self.model._meta.label}.{self.field.name}"

    @property
    def model(self) -> type[Model]:
        """The model of the products, never a proxy."""
        model: type[Model] = self.field.model
        return model

    def change(self, amounts: Amounts, using: str) -> None:
        """Take units and give units back, by one statement for each product, in the order of their keys."""
        for key in sorted(amounts):
            products = self.products([key], using)
            if amounts[key] > 0:
                self._take(products, amounts[key], using)
            elif amounts[key] < 0:
                products.update(**self._without(amounts[key]))

    def _take(self, products: Any, wanted: Any, using: str) -> None:
        """Take units of a product, unless it has fewer; one that does not exist any more has no stock to be kept."""
        if products.filter(**{f"{self.field.name}__gte": wanted}).update(**self._without(wanted)):
            return
        for product in locked(products, using):
            left = getattr(product, self.field.attname)
            if left < wanted:
                raise OutOfStock(product, wanted, left)
            products.update(**self._without(wanted))  # others have given units back since the first statement

    def _without(self, wanted: Any) -> dict[str, Any]:
        """Return the values of an update that takes units; with a negative number, it gives them back."""
        number = Value(abs(wanted), output_field=self.field)
        left = F(self.field.name) - number if wanted > 0 else F(self.field.name) + number
        return {self.field.name: stored(left, self.field)}

    def products(self, keys: Sequence[Any], using: str) -> Any:
        """Return a query for the products with these keys."""
        return self.model._base_manager.using(using).filter(pk__in=keys)


@dataclass(frozen=True)
class LowLevel:
    """The number of units below which a stock is low, and the signal that is sent then."""

    stock: Stock
    level: Any
    signal: Any

    def report(self, amounts: Amounts, using: str) -> None:
        """Send the signal for each product of which fewer units are left now, and were not before.

        The products are locked, since they were updated by the same transaction.
        """
        for product in self._low(sorted(key for key in amounts if amounts[key] > 0), using):
            left = getattr(product, self.stock.field.attname)
            if left + amounts[product.pk] >= self.level:
                self.signal.send(sender=self.stock.model, product=product, left=left)

    def _low(self, keys: Sequence[Any], using: str) -> Iterator[Any]:
        """Query for the products, among those with these keys, whose stock is low."""
        for some in in_chunks(keys, CHUNK):
            products = self.stock.products(some, using).order_by("pk")
            yield from products.filter(**{f"{self.stock.field.name}__lt": self.level})


# --- declarations -------------------------------------------------------------------------------------------------

_declarations: set[Declaration] = set()
_low_levels: list[LowLevel] = []


def connect(declaration: Declaration, low: LowLevel | None) -> None:
    """Connect the receiver that changes stocks until the last declaration is gone; twice is once."""
    items_changed.connect(change_stocks, delivery=BeforeCommit(batch=True))
    _declarations.add(declaration)
    declaration.undone_by(_disconnect, declaration)
    if low is not None:
        _low_levels.append(low)
        declaration.undone_by(_low_levels.remove, low)


def _disconnect(declaration: Declaration) -> None:
    _declarations.remove(declaration)
    if not _declarations:
        items_changed.disconnect(change_stocks)
