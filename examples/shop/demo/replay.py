"""The replay of purchases through the shop."""

from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

from demo.purchases import Purchase
from store.models import Customer, Product
from store.services import Line, cancel_order, place_order

MISTAKE_EVERY = 100


def replay(purchases: Sequence[Purchase]) -> Iterator[Purchase]:
    """Place an order for every purchase, and yield the purchase when that is done.

    Every hundredth one is entered twice and the copy cancelled: the statistics must go back as well as forward.
    """
    customers: dict[int, Customer] = {}
    picks = _picks()
    for number, purchase in enumerate(purchases, start=1):
        if purchase.customer not in customers:
            customers[purchase.customer] = _join(purchase)
        order = partial(place_order, customers[purchase.customer], purchase.day)
        order(_lines(purchase, picks))
        if number % MISTAKE_EVERY == 0:
            cancel_order(order(_lines(purchase, picks)))
        yield purchase


def _join(purchase: Purchase) -> Customer:
    number, cdnow_number = purchase.customer, purchase.cdnow_number
    return Customer.objects.create(number=number, cdnow_number=cdnow_number, joined_on=purchase.day)


def _lines(purchase: Purchase, picks: Iterator[Product]) -> list[Line]:
    return [Line(next(picks), cents) for cents in purchase.prices()]


def _picks() -> Iterator[Product]:
    """Yield the CDs that are bought, the same ones in every replay; some are more popular than others."""
    random = Random(1997)
    products = list(Product.objects.order_by("pk"))
    weights = [random.paretovariate(1.5) for _ in products]
    while True:
        yield random.choices(products, weights)[0]
