"""The sales of every month, summed up from those of the days."""

from dataclasses import dataclass
from datetime import date

from django.db.models import Sum
from django.db.models.functions import TruncMonth

from analytics.models import DailyStatistics


@dataclass(frozen=True)
class Month:
    """A month, named by its first day, and what was bought in it."""

    day: date
    orders: int
    cds: int
    cents: int


def months() -> list[Month]:
    """Return the months in which something was bought."""
    days = DailyStatistics.objects.annotate(month=TruncMonth("day")).order_by("month")
    sums = days.values_list("month").annotate(Sum("orders"), Sum("cds"), Sum("cents"))
    return [Month(*row) for row in sums]
