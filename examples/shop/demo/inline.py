"""The receivers of an order as tutorials write them: all inside the save, once for each item and each statistic.

They have the same results as the shop's own receivers and kept figures while one order comes after the other. In a bulk
write or under load their results are wrong, as the page on kept fields explains.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Sum
from heliograph import mute
from heliograph.signals import post_delete, post_save

import activity.receivers
import analytics.figures
import mailing.receivers
import store.figures
import store.receivers
from activity.receivers import order_entry
from analytics.figures import PURCHASES, SALES
from analytics.models import CustomerStatistics, DailyStatistics
from mailing import letters
from store.models import Customer, Inventory, Order, OrderItem, Product
from store.receivers import REORDER_POINT
from store.services import Line
from store.signals import order_placed, stock_low


@transaction.atomic
def place_order(customer: Customer, day: date, lines: Sequence[Line]) -> Order:
    """Store an order with each of its items by itself: receivers of tutorials do not receive bulk_create()."""
    order = Order.objects.create(customer=customer, placed_on=day)
    for line in lines:
        OrderItem.objects.create(order=order, product=line.product, cents=line.cents)
    order_placed.send(sender=Order, order=order)
    return order


def take_from_stock(sender: type[OrderItem], instance: OrderItem, **kwargs: Any) -> None:
    """Take a sold CD from its shelf; when few are left, say so first."""
    shelf = Inventory.objects.filter(pk=instance.product_id)
    if not shelf.filter(sold__lt=F("received") + F("coming") - REORDER_POINT).update(sold=F("sold") + 1):
        stock_low.send(sender=Product, product=instance.product, day=instance.order.placed_on)
        shelf.update(sold=F("sold") + 1)


def return_to_stock(sender: type[OrderItem], instance: OrderItem, **kwargs: Any) -> None:
    """Put the CD of a deleted item back on its shelf."""
    Inventory.objects.filter(pk=instance.product_id).update(sold=F("sold") - 1)


def total_order(sender: type[OrderItem], instance: OrderItem, **kwargs: Any) -> None:
    """Add up the order of an item."""
    order = instance.order
    sums = order.items.aggregate(count=Count("pk"), sum=Sum("cents", default=0))
    order.cds, order.cents = sums["count"], sums["sum"]
    order.save()


def sum_up_day(sender: type[Order], instance: Order, **kwargs: Any) -> None:
    """Sum up the day of an order."""
    orders = Order.objects.filter(placed_on=instance.placed_on)
    DailyStatistics.objects.update_or_create(day=instance.placed_on, defaults=orders.aggregate(**SALES))


def sum_up_customer(sender: type[Order], instance: Order, **kwargs: Any) -> None:
    """Sum up the customer of an order."""
    sums = Order.objects.filter(customer=instance.customer_id).aggregate(**SALES, **PURCHASES)
    CustomerStatistics.objects.update_or_create(customer_id=instance.customer_id, defaults=sums)


def log_order(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Log an order."""
    order_entry(order, [item.cents for item in order.items.all()]).save()


def confirm_order(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Write the confirmation of an order, and keep it back: nothing of a measurement may stay."""
    letters.confirmation(order)


FIGURES = [store.figures, analytics.figures]

# Each with what it receives, and with the receiver of the shop that it stands in for; None is a kept figure.
STAND_INS = [
    (take_from_stock, post_save, OrderItem, store.receivers.take_from_stock),
    (return_to_stock, post_delete, OrderItem, store.receivers.take_from_stock),
    (total_order, post_save, OrderItem, None),
    (sum_up_day, post_save, Order, None),
    (sum_up_customer, post_save, Order, None),
    (log_order, order_placed, Order, activity.receivers.log_orders),
    (confirm_order, order_placed, Order, mailing.receivers.confirm_order),
]


@contextmanager
def standing_in() -> Iterator[None]:
    """Let these receivers stand in for those of the shop, and for its kept figures."""
    with mute(*(of_the_shop for *_, of_the_shop in STAND_INS if of_the_shop)), _without_figures():
        for stand_in, signal, sender, _ in STAND_INS:
            signal.connect(stand_in, sender=sender)
        try:
            yield
        finally:
            for stand_in, signal, sender, _ in STAND_INS:
                signal.disconnect(stand_in, sender=sender)


@contextmanager
def _without_figures() -> Iterator[None]:
    """Keep no figures, and declare them again in the end."""
    for declaration in (one for figures in FIGURES for one in figures.KEPT):
        declaration.disconnect()
    try:
        yield
    finally:
        for figures in FIGURES:
            importlib.reload(figures)
