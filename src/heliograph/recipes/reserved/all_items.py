"""All items that take units of a stock now, each with the line where they are declared."""

from __future__ import annotations

from heliograph.recipes.declarations import Declaration
from heliograph.recipes.reserved.items import Items
from heliograph.recipes.reserved.stocks import Stock

_lines: dict[Items, str] = {}


def add(declaration: Declaration, items: Items) -> None:
    """Add the items of a declaration, until that is disconnected."""
    _lines[items] = declaration.line
    declaration.undone_by(_lines.pop, items)


def line_of(items: Items) -> str | None:
    """Return the file and line where the same items take from the same stock already."""
    return _lines.get(items)


def items_of(stock: Stock) -> list[Items]:
    """Return all items that take from a stock."""
    return [items for items in _lines if items.stock == stock]
