"""The replay of purchases through the shop."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from random import Random

from django.db import transaction

from demo import repricings
from demo.purchases import Purchase
from demo.repricings import Repricing
from store.models import Customer, Order, Product
from store.services import Line, cancel_order, place_order

MISTAKE_EVERY = 100

Place = Callable[[Customer, date, Sequence[Line]], Order]


class CardRefusedError(Exception):
    """The bank refuses to pay for an order."""


def replay(purchases: Sequence[Purchase], place: Place = place_order) -> Iterator[Purchase]:
    """Place an order for every purchase, and yield the purchase when that is done.

    Every hundredth one is entered twice more. One copy is cancelled: the statistics must go back as well as forward.
    The card for the other one is refused: it is rolled back, and neither counted nor confirmed.
    Prices change on the morning of their days, or of the next one on which something is bought.
    """
    customers: dict[int, Customer] = {}
    picks = _picks()
    planned = deque(repricings.read())
    for number, purchase in enumerate(purchases, start=1):
        _reprice(planned, purchase.day)
        if purchase.customer not in customers:
            customers[purchase.customer] = _join(purchase)
        order = partial(place, customers[purchase.customer], purchase.day)
        order(_lines(purchase, picks))
        if number % MISTAKE_EVERY == 0:
            cancel_order(order(_lines(purchase, picks)))
            _refuse(partial(order, _lines(purchase, picks)))
        yield purchase


def _join(purchase: Purchase) -> Customer:
    number, cdnow_number = purchase.customer, purchase.cdnow_number
    return Customer.objects.create(number=number, cdnow_number=cdnow_number, joined_on=purchase.day)


def _reprice(planned: deque[Repricing], today: date) -> None:
    """Do what is planned for the days until today."""
    while planned and planned[0].day <= today:
        planned.popleft().apply()


def _refuse(order: Callable[[], Order]) -> None:
    """Place an order, and then find that nobody pays for it."""
    with suppress(CardRefusedError), transaction.atomic():
        order()
        raise CardRefusedError


def _lines(purchase: Purchase, picks: Iterator[Product]) -> list[Line]:
    return [Line(next(picks), cents) for cents in purchase.prices()]


def _picks() -> Iterator[Product]:
    """Yield the CDs that are bought, the same ones in every replay; some are more popular than others."""
    random = Random(1997)
    products = list(Product.objects.order_by("pk"))
    weights = [random.paretovariate(1.5) for _ in products]
    while True:
        yield random.choices(products, weights)[0]
