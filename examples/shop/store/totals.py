"""What an order comes to, added up from its items."""

from store.models import Order
from store.signals import order_totalled


def add_up(order: Order) -> None:
    """Add up the items of an order, and tell everybody."""
    prices = order.items.values_list("cents", flat=True)
    order.cds, order.cents = len(prices), sum(prices)
    order.save(update_fields=["cds", "cents"])
    order_totalled.send(sender=Order, order=order)
