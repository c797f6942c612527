"""What orders come to, added up from their items."""

from collections.abc import Collection

from django.db.models import Count, Sum

from store.models import Order, OrderItem
from store.signals import order_totalled


def add_up(orders: Collection[Order]) -> None:
    """Add up the items of orders, which are locked or new, and send `order_totalled`."""
    items = OrderItem.objects.filter(order__in=orders).order_by()
    sums = {row.pop("order"): row for row in items.values("order").annotate(cds=Count("pk"), sum=Sum("cents"))}
    for order in orders:
        of_order = sums.get(order.pk, {"cds": 0, "sum": 0})
        order.cds, order.cents = of_order["cds"], of_order["sum"]
    Order.objects.bulk_update(orders, ["cds", "cents"])
    for order in orders:
        order_totalled.send(sender=Order, order=order)
