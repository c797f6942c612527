"""Orders as dots on a line, the larger the more was spent."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from math import sqrt

from backoffice.formats import money, over
from store.models import Order


@dataclass(frozen=True)
class Dot:
    """An order, placed in percent of the line."""

    x: float
    radius: float
    text: str


def of_orders(orders: Iterable[Order], first: date, last: date) -> list[Dot]:
    """Draw the orders between two days."""
    return [_dot(order, over((order.placed_on - first).days, (last - first).days)) for order in orders]


def _dot(order: Order, share: float) -> Dot:
    text = f"{order.placed_on:%d %b %Y}: {order.cds} CDs, {money(order.cents)}"
    return Dot(round(100 * share, 2), round(3 + sqrt(order.cents) / 25, 1), text)
