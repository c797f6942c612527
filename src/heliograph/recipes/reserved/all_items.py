"""All items that take units of a stock now."""

from __future__ import annotations

from heliograph.recipes.declarations import Declaration
from heliograph.recipes.reserved.items import Items
from heliograph.recipes.reserved.stocks import Stock

_all: list[Items] = []


def add(declaration: Declaration, items: Items) -> None:
    """Add the items of a declaration, until that is disconnected.

    Raises TypeError if they take from the stock already.
    """
    declaration.claim(items, f"{items.label} takes from {items.stock.label} already", "Take one away.")
    _all.append(items)
    declaration.undone_by(_all.remove, items)


def items_of(stock: Stock) -> list[Items]:
    """Return all items that take from a stock."""
    return [items for items in _all if items.stock == stock]
