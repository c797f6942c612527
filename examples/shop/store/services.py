"""What one can do in the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import transaction
from django.db.models import F, QuerySet

from store.models import Customer, Order, OrderItem, Product
from store.signals import order_placed


@dataclass(frozen=True)
class Line:
    """A CD that a customer wants, and its price."""

    product: Product
    cents: int


@transaction.atomic
def place_order(customer: Customer, day: date, lines: Sequence[Line]) -> Order:
    """Store an order with its items, and send `order_placed`; the total of the order is known after the commit."""
    if not lines:
        raise ValueError(f"{customer} orders nothing: an order has one line at least.")
    order = Order.objects.create(customer=customer, placed_on=day)
    OrderItem.objects.bulk_create(OrderItem(order=order, product=line.product, cents=line.cents) for line in lines)
    order_placed.send(sender=Order, order=order)
    return order


@transaction.atomic
def cancel_order(order: Order) -> None:
    """Delete an order with its items, as if it had never been placed."""
    order.delete()


def reprice(products: QuerySet[Product], cents: int, day: date) -> int:
    """Raise prices from a day on, or lower them by a negative amount, and return how many products have changed."""
    return products.update(cents=F("cents") + cents, priced_on=day)
