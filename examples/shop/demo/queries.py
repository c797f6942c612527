"""How many queries it takes to place an order: with receivers as tutorials have them, and with those of the shop."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from django.db import connection, transaction

from demo import inline
from demo.purchases import Purchase
from demo.replay import ONE_BY_ONE, Place, replay
from store.models import Customer, Order
from store.services import Line, place_order

# What begins and ends a transaction is left out: it is another one for an order inside of a measurement.
ENDS = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")


@dataclass(frozen=True)
class Taken:
    """An order of so many CDs, and the queries that it took."""

    cds: int
    queries: int


@dataclass(frozen=True)
class Queries:
    """Some orders, the CDs of each or of all, and the queries that all took: inline, and once a transaction."""

    cds: int
    orders: int
    inline: int
    once: int


class Meter:
    """Places orders, and counts the queries of each."""

    def __init__(self, place: Place = place_order) -> None:
        self._place = place
        self.taken: list[Taken] = []

    def place(self, customer: Customer, day: date, lines: Sequence[Line]) -> Order:
        """Place an order."""
        with _counted() as queries:
            order = self._place(customer, day, lines)
        self.taken.append(Taken(len(lines), len(queries)))
        return order


def with_inline_receivers(purchases: Sequence[Purchase]) -> list[Taken]:
    """Return what the first purchases take with receivers as tutorials have them; nothing of it stays."""
    meter = Meter(inline.place_order)
    with transaction.atomic(), inline.standing_in():
        deque(replay(purchases[:ONE_BY_ONE], meter.place), maxlen=0)
        transaction.set_rollback(True)
    return meter.taken


def compare(with_inline: Sequence[Taken], with_ours: Sequence[Taken]) -> tuple[Queries, ...]:
    """Put the orders of the first purchases beside each other, by their size."""
    pairs = sorted(zip(with_inline[:ONE_BY_ONE], with_ours[:ONE_BY_ONE], strict=True), key=_size)
    return tuple(_queries(cds, list(group)) for cds, group in groupby(pairs, key=_size))


def in_all(sizes: Sequence[Queries]) -> Queries:
    """Add up the orders of all sizes."""
    return Queries(
        cds=sum(of_size.cds * of_size.orders for of_size in sizes),
        orders=sum(of_size.orders for of_size in sizes),
        inline=sum(of_size.inline for of_size in sizes),
        once=sum(of_size.once for of_size in sizes),
    )


def _size(pair: tuple[Taken, Taken]) -> int:
    return pair[0].cds


def _queries(cds: int, pairs: Sequence[tuple[Taken, Taken]]) -> Queries:
    return Queries(cds, len(pairs), *(sum(taken.queries for taken in side) for side in zip(*pairs, strict=True)))


@contextmanager
def _counted() -> Iterator[list[str]]:
    """Collect the queries of the block."""
    queries: list[str] = []

    def count(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if not sql.startswith(ENDS):
            queries.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(count):
        yield queries
