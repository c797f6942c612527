"""Whether the values that receivers have kept are those that follow from the files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from django.db.models import Count, Sum

from activity.models import Entry
from analytics.models import CustomerStatistics, DailyStatistics
from analytics.totals import totals
from demo import expected_prices, repricings, workers
from demo.comparison import Check, Table
from demo.deliveries import deliveries
from demo.expected import Expected, Line, Sales
from demo.expected_prices import Prices
from demo.replay import MISTAKE_EVERY
from mailing import letters
from mailing.models import Mail
from store import catalogue
from store.models import Customer, Genre, Inventory, Order, OrderItem, PriceChange, Product, Restock

BEST = 10
RECEIVERS = ("mailing.", "store.")  # what the names begin with of those in the record shop


def verify(expected: Expected) -> Iterator[Check]:
    """Compare everything that the receivers keep with the expected values."""
    prices = expected_prices.from_files(catalogue.PATH, repricings.PATH, until=expected.total.last)
    yield _orders(expected)
    yield _customers(expected)
    yield _days(expected)
    yield _totals(expected)
    yield _best_customers(expected)
    yield _inventory(expected)
    yield _shelves()
    yield _prices(prices)
    yield _activity(expected, prices)
    yield _confirmations(expected)
    yield _deliveries(expected)


def _orders(expected: Expected) -> Check:
    """Compare the orders with the lines of the file: by the totals that are kept, and by the sums of the items."""
    lines = Counter(expected.lines)
    totals = Counter(Order.objects.values_list("customer__number", "placed_on", "cds", "cents"))
    items = OrderItem.objects.order_by().values("order").annotate(cds=Count("pk"), sum=Sum("cents"))
    sums = Counter(items.values_list("order__customer__number", "order__placed_on", "cds", "sum"))
    scope = f"{totals.total()} orders and the sums of {OrderItem.objects.count()} items, line by line"
    return Check.of(
        "orders",
        scope,
        expected={_purchase(*line): {"totals": lines[line], "items": lines[line]} for line in lines},
        found={_purchase(*line): {"totals": totals[line], "items": sums[line]} for line in totals | sums},
    )


def _customers(expected: Expected) -> Check:
    found = _rows("customer", CustomerStatistics.objects, "customer__number", "orders", "cds", "cents", "first", "last")
    return Check.of(
        "customer statistics",
        f"{len(found)} customers, {_sums(found)}, first and last purchase",
        expected={f"customer {number}": asdict(sales) for number, sales in expected.customers.items()},
        found=found,
    )


def _days(expected: Expected) -> Check:
    found = _rows("day", DailyStatistics.objects, "day", "orders", "cds", "cents")
    return Check.of(
        "daily statistics",
        f"{len(found)} days, {_sums(found)}",
        expected={f"day {day}": _numbers(sales) for day, sales in expected.days.items()},
        found=found,
    )


def _totals(expected: Expected) -> Check:
    found = {"all": asdict(totals())}
    return Check.of(
        "totals",
        f"{_sum(found, 'customers')} customers, {_sums(found)}",
        expected={"all": {"customers": len(expected.customers), **_numbers(expected.total)}},
        found=found,
    )


def _best_customers(expected: Expected) -> Check:
    ranked = CustomerStatistics.objects.order_by("-cents", "customer__number").values_list("customer__number", "cents")
    found = list(ranked[:BEST])
    scope = ", ".join(f"{number} (${cents / 100:,.2f})" for number, cents in found[:3])
    return Check.of("best customers", f"{scope}, ...", expected=_ranking(expected.best(BEST)), found=_ranking(found))


def _inventory(expected: Expected) -> Check:
    """Compare what is on hand with what came in and went out, and these with their own rows and with the file."""
    found = _rows("product", Inventory.objects, "product__title", "received", "sold", "coming", "on_hand")
    received = dict(Restock.objects.order_by().values_list("product__title").annotate(Sum("quantity")))
    sold = dict(OrderItem.objects.order_by().values_list("product__title").annotate(Count("pk")))
    balance = {f"product {title}": _balance(received[title], sold.get(title, 0)) for title in received}
    came_in, went_out, on_hand = (_sum(found, field) for field in ("received", "sold", "on_hand"))
    return Check.of(
        "inventory",
        f"{len(found)} products, {came_in} received - {went_out} sold = {on_hand} on hand",
        expected=balance | {"all products": {"sold": expected.total.cds}},
        found=found | {"all products": {"sold": went_out}},
    )


def _shelves() -> Check:
    albums = Counter(genre for album in catalogue.read() for genre in album.genres)
    found = _rows("genre", Genre.objects, "name", "albums")
    return Check.of(
        "shelves",
        f"{len(found)} genres, {_sum(found, 'albums')} places for albums",
        expected={f"genre {name}": {"albums": count} for name, count in albums.items()},
        found=found,
    )


def _prices(prices: Prices) -> Check:
    """Compare the prices of products, and the earlier prices that receivers have kept."""
    changes = Counter((title, *change) for title, changes in prices.changes.items() for change in changes)
    kept = Counter(PriceChange.objects.values_list("product__title", "day", "old", "new"))
    return Check.of(
        "prices",
        f"{len(prices.last)} products, {kept.total()} changes by {len(prices.repricings)} statements",
        expected={f"product {title}": {"cents": cents} for title, cents in prices.last.items()} | _changes(changes),
        found=_rows("product", Product.objects, "title", "cents") | _changes(kept),
    )


def _activity(expected: Expected, prices: Prices) -> Check:
    cancelled = expected.total.orders // MISTAKE_EVERY
    counted = Entry.objects.order_by().values("kind").annotate(entries=Count("pk"))
    found = _rows("kind", counted, "kind", "entries")
    must = {
        Entry.Kind.JOINED: len(expected.customers),
        Entry.Kind.PLACED: expected.total.orders + cancelled,
        Entry.Kind.CANCELLED: cancelled,
        Entry.Kind.RESTOCKED: Restock.objects.count(),
        Entry.Kind.REPRICED: len(prices.repricings),
    }
    return Check.of(
        "activity log",
        ", ".join(f"{count} {kind}" for kind, count in must.items()),
        expected={f"kind {kind}": {"entries": count} for kind, count in must.items() if count},
        found=found,
    )


def _confirmations(expected: Expected) -> Check:
    """Compare the mails with the lines of the file; its copies were rolled back, or cancelled before a worker came."""
    must = Counter(map(_confirmation, expected.lines))
    letters_of_shop = Mail.objects.filter(to__startswith="customer-").values_list("to", "subject")
    sent = Counter(f"{to}: {subject}" for to, subject in letters_of_shop)
    copies = expected.total.orders // MISTAKE_EVERY
    return Check.of(
        "confirmations",
        f"{sent.total()} mails, one for each order; none for {copies} that were cancelled and {copies} rolled back",
        expected={mail: {"sent": count} for mail, count in must.items()},
        found={mail: {"sent": count} for mail, count in sent.items()},
    )


def _deliveries(expected: Expected) -> Check:
    """Compare the outcomes of the deliveries with the expected ones; one worker was killed in the middle of one."""
    counted = deliveries(RECEIVERS)
    made, attempts = sum(of_one.made for of_one in counted), sum(of_one.attempts for of_one in counted)
    lost = sum(of_one.errors.get("LostWorkerError", 0) for of_one in counted)
    orders, restocks = expected.total.orders, Restock.objects.exclude(day=catalogue.OPENING_DAY).count()
    must = {
        "mailing.receivers.confirm_order": _became(orders, orders // MISTAKE_EVERY, fewest=1),
        "store.receivers.reorder": _became(restocks, fewest=2),  # for the first one finds the line busy
    }
    return Check.of(
        "deliveries",
        f"{made} made in {attempts} attempts, in {lost} of which a worker was killed",
        expected={name: row for name, row in must.items() if row["made"]} | {"worker": {"killed": True, "left": 0}},
        found={
            of_one.receiver: _became(of_one.made, of_one.discarded, of_one.dead, of_one.fewest) for of_one in counted
        }
        | {"worker": {"killed": lost > 0, "left": workers.waiting()}},
    )


def _became(made: int, discarded: int = 0, dead: int = 0, fewest: int = 1) -> dict[str, int]:
    return {"made": made, "discarded": discarded, "dead": dead, "attempts of each": fewest}


def _confirmation(line: Line) -> str:
    return f"{Customer(number=line.customer).email}: {letters.subject(line.day, line.cds, line.cents)}"


def _rows(label: str, rows: Any, key: str, *fields: str) -> dict[str, dict[str, Any]]:
    """Return a table of the fields, its rows named by the label and the key."""
    return {f"{label} {row.pop(key)}": row for row in rows.values(key, *fields)}


def _purchase(customer: int, day: Any, cds: int, cents: int) -> str:
    return f"customer {customer} on {day}, {cds} CDs for {cents} cents"


def _changes(counted: Mapping[tuple[str, date, int, int], int]) -> Table:
    return {f"{title} on {day}, {old} to {new} cents": {"kept": n} for (title, day, old, new), n in counted.items()}


def _ranking(customers: Iterable[tuple[int, int]]) -> Table:
    return {f"rank {rank}": {"customer": number, "cents": cents} for rank, (number, cents) in enumerate(customers, 1)}


def _numbers(sales: Sales) -> dict[str, int]:
    return {"orders": sales.orders, "cds": sales.cds, "cents": sales.cents}


def _balance(received: int, sold: int) -> dict[str, int]:
    return {"received": received, "sold": sold, "coming": 0, "on_hand": received - sold}


def _sum(table: Table, field: str) -> int:
    return sum(row[field] for row in table.values())


def _sums(table: Table) -> str:
    return f"{_sum(table, 'orders')} orders, {_sum(table, 'cds')} CDs, ${_sum(table, 'cents') / 100:,.2f}"
