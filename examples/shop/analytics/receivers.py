"""How the statistics follow the sales."""

from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db.models import F, Max, Min, Model
from django.db.models.functions import Coalesce
from django.utils import timezone
from heliograph import created, raw, receiver
from heliograph.signals import post_delete, post_save, request_finished

from analytics.models import CustomerStatistics, DailyStatistics, PageViews, Totals
from store.models import Customer, Order
from store.signals import order_placed


@receiver(post_save, sender=Customer, when=created & ~raw)
def add_customer(sender: type[Customer], instance: Customer, **kwargs: Any) -> None:
    """Open the statistics of a new customer, and count them."""
    CustomerStatistics.objects.create(customer=instance)
    _count(Totals, {"customers": F("customers") + 1}, pk=1)


@receiver(post_delete, sender=Customer)
def remove_customer(sender: type[Customer], **kwargs: Any) -> None:
    """Count one customer less."""
    _count(Totals, {"customers": F("customers") - 1}, pk=1)


@receiver(order_placed)
def add_order(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Add an order to the totals and to its day."""
    _count(Totals, _change(order, +1), pk=1)
    _count(DailyStatistics, _change(order, +1), day=order.placed_on)


@receiver(post_delete, sender=Order)
def remove_order(sender: type[Order], instance: Order, **kwargs: Any) -> None:
    """Take a cancelled order out of the totals and of its day."""
    _count(Totals, _change(instance, -1), pk=1)
    _count(DailyStatistics, _change(instance, -1), day=instance.placed_on)


@receiver(order_placed)
def add_purchase(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Add an order to the statistics of its customer, of whose orders it is the last one."""
    dates = {"first": Coalesce("first", order.placed_on), "last": order.placed_on}
    CustomerStatistics.objects.filter(customer=order.customer_id).update(**_change(order, +1), **dates)


@receiver(post_delete, sender=Order)
def remove_purchase(sender: type[Order], instance: Order, **kwargs: Any) -> None:
    """Take a cancelled order out of the statistics of its customer; it may have been the first or the last one."""
    dates = Order.objects.filter(customer=instance.customer_id).aggregate(first=Min("placed_on"), last=Max("placed_on"))
    CustomerStatistics.objects.filter(customer=instance.customer_id).update(**_change(instance, -1), **dates)


# Before Django's own receiver, which closes the request's connection: a query after it would open another one.
@receiver(request_finished, sender=[WSGIHandler, ASGIHandler], order=-10)
def add_page(sender: type, **kwargs: Any) -> None:
    """Count a page that was served; style sheets have a handler of their own, and are not counted."""
    _count(PageViews, {"pages": F("pages") + 1}, day=timezone.localdate())


def _change(order: Order, sign: int) -> dict[str, Any]:
    """Return an update that adds an order to statistics (+1), or takes it out of them (-1)."""
    return {
        "orders": F("orders") + sign,
        "cds": F("cds") + sign * order.cds,
        "cents": F("cents") + sign * order.cents,
    }


def _count(model: type[Model], change: dict[str, Any], **key: Any) -> None:
    """Change the row of the key, which is there except for the first time."""
    row = model.objects.filter(**key)
    if not row.update(**change):
        model.objects.get_or_create(**key)
        row.update(**change)
