"""How the statistics follow the sales."""

from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db.models import F
from django.utils import timezone
from heliograph import Batch, BeforeCommit, receiver
from heliograph.signals import post_delete, post_save, request_finished

from analytics import sums
from analytics.models import PageViews
from store.models import Customer, Order
from store.signals import order_totalled


@receiver([post_save, post_delete], sender=Customer, delivery=BeforeCommit(batch=True))
def count_customers(sender: type[Customer], batch: Batch, **kwargs: Any) -> None:
    """Count the customers, and open the statistics of new ones."""
    sums.open_customers(customer.pk for customer in batch.created)
    sums.count_customers()


@receiver([order_totalled, post_delete], sender=Order, delivery=BeforeCommit(batch=True))
def sum_up_days(sender: type[Order], batch: Batch, **kwargs: Any) -> None:
    """Sum up the days of orders that are new, another sum or gone, and then all days."""
    sums.of_days({order.placed_on for order in _orders(batch)})


@receiver([order_totalled, post_delete], sender=Order, delivery=BeforeCommit(batch=True))
def sum_up_customers(sender: type[Order], batch: Batch, **kwargs: Any) -> None:
    """Sum up the customers of orders that are new, another sum or gone."""
    sums.of_customers({order.customer_id for order in _orders(batch)})


# Before Django's own receiver, which closes the request's connection: a query after it would open another one.
@receiver(request_finished, sender=[WSGIHandler, ASGIHandler], order=-10)
def add_page(sender: type, **kwargs: Any) -> None:
    """Count a page that was served; style sheets have a handler of their own, and are not counted."""
    day = timezone.localdate()
    today = PageViews.objects.filter(day=day)
    if not today.update(pages=F("pages") + 1):
        PageViews.objects.get_or_create(day=day)
        today.update(pages=F("pages") + 1)


def _orders(batch: Batch) -> list[Order]:
    """Return the orders of a batch: of our own signals they are no `instance`."""
    return [event.kwargs.get("order", event.instance) for event in batch.events]
