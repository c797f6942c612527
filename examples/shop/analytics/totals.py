"""The totals of all sales, added up from the days when somebody asks.

There is no row with them. Each order would have to update it, so that one transaction at a time could commit: all
others would wait for its lock. Days and customers have rows of their own, of which there are many.
"""

from dataclasses import dataclass

from django.db.models import Sum

from analytics.models import DailyStatistics
from store.models import Customer


@dataclass(frozen=True)
class Totals:
    """What was bought at all, and by how many."""

    customers: int
    orders: int
    cds: int
    cents: int


def totals() -> Totals:
    """Add up the statistics of the days."""
    sums = {name: Sum(name, default=0) for name in ("orders", "cds", "cents")}
    return Totals(customers=Customer.objects.count(), **DailyStatistics.objects.aggregate(**sums))
