"""How the statistics are summed up: from the orders as they are, over what was there before.

One transaction at a time sums up. Two that did it at once would not see each other's orders, and the later one would
store sums without those of the earlier one. So each begins by locking the row of the totals, which all of them write.
"""

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

from django.db.models import Count, F, Max, Min, Model, Sum

from analytics.models import CustomerStatistics, DailyStatistics, Totals
from store.locks import lock
from store.models import Customer, Order

SALES = ["orders", "cds", "cents"]
OF_A_CUSTOMER = {
    "cds": Sum("orders__cds", default=0),
    "cents": Sum("orders__cents", default=0),
    "first": Min("orders__placed_on"),
    "last": Max("orders__placed_on"),
    "orders": Count("orders"),  # the last one, for from here on the name is that of the number
}
THE_ROW = 1


def of_days(days: Collection[date]) -> None:
    """Sum up the orders of each of these days, which are one at least, and then all days."""
    _wait()
    orders = Order.objects.filter(placed_on__in=days).order_by().values(day=F("placed_on"))
    found = {row["day"]: row for row in orders.annotate(orders=Count("pk"), cds=Sum("cds"), cents=Sum("cents"))}
    _write(DailyStatistics, [DailyStatistics(**found.get(day, {"day": day})) for day in days], SALES)
    sums = DailyStatistics.objects.aggregate(orders=Sum("orders"), cds=Sum("cds"), cents=Sum("cents"))
    _write(Totals, [Totals(pk=THE_ROW, **sums)], SALES)


def of_customers(customers: Collection[int]) -> None:
    """Sum up the orders of each of these customers, except for those who are gone."""
    _wait()
    found = Customer.objects.filter(pk__in=customers).order_by().values(customer_id=F("pk"))
    _write(CustomerStatistics, [CustomerStatistics(**row) for row in found.annotate(**OF_A_CUSTOMER)], [*OF_A_CUSTOMER])


def count_customers() -> None:
    """Count the customers."""
    _wait()
    _write(Totals, [Totals(pk=THE_ROW, customers=Customer.objects.count())], ["customers"])


def open_customers(customers: Iterable[int]) -> None:
    """Let each of these customers have statistics."""
    rows = [CustomerStatistics(customer_id=customer) for customer in customers]
    CustomerStatistics.objects.bulk_create(rows, ignore_conflicts=True)


def _wait() -> None:
    """Wait until no other transaction sums up, and keep others waiting until this one ends."""
    row = Totals.objects.filter(pk=THE_ROW)
    if not lock(row):
        Totals.objects.bulk_create([Totals(pk=THE_ROW)], ignore_conflicts=True)  # it waits for another one's insert
        lock(row)


def _write(model: type[Model], rows: list[Any], fields: list[str]) -> None:
    """Write these fields of rows, whether the rows are there or not."""
    model.objects.bulk_create(rows, update_conflicts=True, unique_fields=["pk"], update_fields=fields)
