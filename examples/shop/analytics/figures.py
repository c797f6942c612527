"""The statistics of customers and days, which are aggregates of orders: right whatever is written."""

from django.db.models import Count, Max, Min, Sum
from heliograph.recipes import keep_groups

from analytics.models import CustomerStatistics, DailyStatistics
from store.models import Order

SALES = {"orders": Count("*"), "cds": Sum("cds", default=0), "cents": Sum("cents", default=0)}
PURCHASES = {"first": Min("placed_on"), "last": Max("placed_on")}

KEPT = [
    keep_groups(Order, into=DailyStatistics, by={"day": "placed_on"}, **SALES),
    keep_groups(Order, into=CustomerStatistics, by={"customer": "customer"}, **SALES, **PURCHASES),
]
