"""The reports of days, each of which a worker makes in the night."""

from collections.abc import Iterable
from datetime import date

from django.db import transaction
from django.db.models import Count, Sum

from analytics.models import Report
from analytics.signals import night_fell
from bookstore.models import Purchase
from store.models import Order

SALES = {"number": Count("pk"), "sum": Sum("cents", default=0)}


@transaction.atomic
def close(days: Iterable[date]) -> None:
    """Say that the nights of these days have fallen, which a timer does once a day."""
    for day in days:
        night_fell.send(sender=Report, day=day)


def make(day: date) -> None:
    """Make the report of a day, or make it again."""
    orders = Order.objects.filter(placed_on=day).aggregate(**SALES)
    purchases = Purchase.objects.filter(bought_at__date=day, is_cancelled=False).aggregate(**SALES)
    sold = {"orders": orders["number"], "purchases": purchases["number"], "cents": orders["sum"] + purchases["sum"]}
    Report.objects.update_or_create(day=day, defaults=sold)
