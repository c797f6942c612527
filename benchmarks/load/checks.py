"""The check of a run, by SQL that knows nothing of the models: totals, stocks, statistics, and a mail for each order.

It reads, as JSON, which orders the mail server has had mails about and how many orders were answered, and prints, as
JSON, what it has found.
"""

import json
import sys
from collections.abc import Iterator, Set
from typing import Any

import django
from demo.promises.promise import Promise, count
from django.db import connection

from benchmarks.load.variants import Checked

RECEIVER = "benchmarks.load.checkout.receivers.confirm"
UNFINISHED = "state IN ('READY', 'RUNNING')"
ITEMS = "SELECT COUNT(*) FROM store_orderitem i WHERE i.{} = r.{}"
CENTS = "SELECT COALESCE(SUM(i.cents), 0) FROM store_orderitem i WHERE i.{} = r.{}"
OF_ORDERS = "SELECT {} FROM store_order o JOIN store_orderitem i ON i.order_id = o.id WHERE o.{} = r.{}"


def _sums(key: str, of_row: str) -> str:
    """Return the condition under which a row `s` of statistics does not have the sums of the orders of a row `r`."""
    return (
        f"COALESCE(s.orders, 0) <> (SELECT COUNT(*) FROM store_order o WHERE o.{key} = r.{of_row})"
        f" OR COALESCE(s.cds, 0) <> ({OF_ORDERS.format('COUNT(*)', key, of_row)})"
        f" OR COALESCE(s.cents, 0) <> ({OF_ORDERS.format('COALESCE(SUM(i.cents), 0)', key, of_row)})"
    )


DAYS = "(SELECT DISTINCT placed_on FROM store_order) r"
PROMISES = (
    Promise(
        "load",
        "an order has the number and the sum of its items",
        "SELECT 1 FROM store_order",
        f"SELECT 1 FROM store_order r WHERE r.cds <> ({ITEMS.format('order_id', 'id')})"
        f" OR r.cents <> ({CENTS.format('order_id', 'id')})",
    ),
    Promise(
        "load",
        "the stock is what came in, less what was sold",
        "SELECT 1 FROM store_inventory",
        f"SELECT 1 FROM store_inventory r WHERE r.sold <> ({ITEMS.format('product_id', 'product_id')})"
        " OR r.received <> (SELECT COALESCE(SUM(quantity), 0) FROM store_restock t WHERE t.product_id = r.product_id)"
        " OR r.on_hand <> r.received - r.sold",
    ),
    Promise(
        "load",
        "fifty CDs are coming for each order from the wholesaler that is not made yet",
        "SELECT 1 FROM store_inventory WHERE coming > 0",
        "SELECT 1 FROM (SELECT (SELECT SUM(coming) FROM store_inventory) AS coming, (SELECT 50 * COUNT(*)"
        " FROM heliograph_outbox_delivery WHERE receiver = 'store.receivers.reorder' AND state <> 'SUCCESSFUL') AS"
        " ordered) c WHERE coming <> ordered",
    ),
    Promise(
        "load",
        "a customer has the sums of the orders",
        "SELECT 1 FROM store_customer",
        "SELECT 1 FROM store_customer r LEFT JOIN analytics_customerstatistics s ON s.customer_id = r.id"
        f" WHERE {_sums('customer_id', 'id')}",
    ),
    Promise(
        "load",
        "a day has the sums of the orders",
        f"SELECT 1 FROM {DAYS}",
        f"SELECT 1 FROM {DAYS} LEFT JOIN analytics_dailystatistics s ON s.day = r.placed_on"
        f" WHERE {_sums('placed_on', 'placed_on')}",
    ),
)


def check(mailed: Set[int], answered: int) -> Iterator[Checked]:
    """Yield what must hold of the database and of the mails."""
    for promise in PROMISES:
        counted = count(promise)
        yield Checked(promise.text, counted.rows, counted.differences)
    orders, waiting = _orders(), _waiting()
    yield Checked("an order that was answered is there", answered, max(0, answered - len(orders)))
    lost = orders - mailed - waiting
    yield Checked("the mail about an order has arrived, or is in the outbox", len(orders), len(lost))
    yield Checked("a mail is about an order that is there", len(mailed), len(mailed - orders))


def _orders() -> set[int]:
    return {key for (key,) in _select("SELECT id FROM store_order")}


def _waiting() -> set[int]:
    """Return the keys of the orders whose confirmation is a delivery that is not finished."""
    where = f"receiver = '{RECEIVER}' AND {UNFINISHED}"
    return {_order(payload) for (payload,) in _select(f"SELECT payload FROM heliograph_outbox_delivery WHERE {where}")}


def _order(payload: str) -> int:
    """Return the key in a payload: its order is `{"$": "row", "value": ["store.Order", [17], "default"]}`."""
    _, (key,), _ = json.loads(payload)["kwargs"]["order"]["value"]
    return int(key)


def _select(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def main() -> None:
    """Check, and print what was found."""
    django.setup()
    given = json.load(sys.stdin)
    found = [vars(one) for one in check(set(given["mailed"]), given["answered"])]
    print(json.dumps({"checked": found, "waiting": len(_waiting())}))


if __name__ == "__main__":
    main()
