"""What an order causes as tutorials have it: every receiver inside the save, once for each item and each statistic.

These receivers do what those of the shop do, with the same functions. All that differs is when, and how often.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from heliograph import mute
from heliograph.signals import post_save

import analytics.receivers
import mailing.receivers
import store.receivers
from analytics import sums
from mailing import letters
from store import totals
from store.models import Order, OrderItem
from store.signals import order_placed, order_totalled


def total_order(sender: type[OrderItem], instance: OrderItem, **kwargs: Any) -> None:
    """Add up the order of an item."""
    totals.add_up(instance.order)


def sum_up_day(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Sum up the day of an order, and then all days."""
    sums.of_days({order.placed_on})
    sums.of_all()


def sum_up_customer(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Sum up the customer of an order."""
    sums.of_customers({order.customer_id})


def confirm_order(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Write the confirmation of an order, and keep it back: nothing of a measurement may stay."""
    letters.confirmation(order)


# Each with what it hears, and with the receiver of the shop that it stands in for.
STAND_INS = [
    (total_order, post_save, OrderItem, store.receivers.total_orders),
    (sum_up_day, order_totalled, Order, analytics.receivers.sum_up_days),
    (sum_up_customer, order_totalled, Order, analytics.receivers.sum_up_customers),
    (confirm_order, order_placed, Order, mailing.receivers.confirm_order),
]


@contextmanager
def standing_in() -> Iterator[None]:
    """Let these receivers stand in for those of the shop."""
    with mute(*(of_the_shop for *_, of_the_shop in STAND_INS)):
        for stand_in, signal, sender, _ in STAND_INS:
            signal.connect(stand_in, sender=sender)
        try:
            yield
        finally:
            for stand_in, signal, sender, _ in STAND_INS:
                signal.disconnect(stand_in, sender=sender)
