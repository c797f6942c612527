"""The replay of purchases through the shop."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import date
from itertools import groupby
from random import Random

from django.db import transaction

from demo import repricings
from demo.purchases import Purchase
from store.models import Customer, Order, Product
from store.services import Line, cancel_order, place_order

MISTAKE_EVERY = 100
ONE_BY_ONE = 100  # purchases, before they come a week at a time

Place = Callable[[Customer, date, Sequence[Line]], Order]


class CardRefusedError(Exception):
    """The bank refuses to pay for an order."""


def replay(purchases: Sequence[Purchase], place: Place = place_order) -> Iterator[Purchase]:
    """Place an order for every purchase, and yield the purchase when that is done.

    The first hundred are placed one by one, as by customers of a web shop; the others a week at a time, all of a week
    in one transaction, as a branch sends them in on Sundays. So statistics are summed up once a week.
    Every hundredth purchase is entered twice more. One copy is cancelled: the statistics must go back as well as
    forward. The card for the other one is refused: it is rolled back, and neither counted nor confirmed.
    Prices change before the purchases of their weeks.
    """
    shop = _Shop(place)
    for together in _together(purchases):
        shop.open(together)
        shop.sell(together)
        yield from (purchase for _, purchase in together)


Numbered = tuple[int, Purchase]


def _together(purchases: Sequence[Purchase]) -> Iterator[list[Numbered]]:
    """Yield the purchases that are placed in one transaction, each with its number."""
    numbered = list(enumerate(purchases, start=1))
    yield from ([one] for one in numbered[:ONE_BY_ONE])
    yield from (list(week) for _, week in groupby(numbered[ONE_BY_ONE:], key=lambda one: one[1].week))


class _Shop:
    """The shop in a replay: its customers so far, what is bought next and which prices will change."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._customers: dict[int, Customer] = {}
        self._picks = _picks()
        self._planned = deque(repricings.read())

    def open(self, together: Sequence[Numbered]) -> None:
        """Change the prices that change meanwhile, and welcome the customers who are new."""
        _, last = together[-1]
        while self._planned and self._planned[0].day <= last.day:
            self._planned.popleft().apply()
        with transaction.atomic():
            for _, purchase in together:
                self._customers[purchase.customer] = self._customers.get(purchase.customer) or _join(purchase)

    def sell(self, together: Sequence[Numbered]) -> None:
        """Place the orders, and then make the mistakes that belong to some of them."""
        # An order is a transaction already.
        with transaction.atomic() if len(together) > 1 else nullcontext():
            for _, purchase in together:
                self._order(purchase)
        for number, purchase in together:
            if number % MISTAKE_EVERY == 0:
                cancel_order(self._order(purchase))
                self._refuse(purchase)

    def _order(self, purchase: Purchase) -> Order:
        lines = [Line(next(self._picks), cents) for cents in purchase.prices()]
        return self._place(self._customers[purchase.customer], purchase.day, lines)

    def _refuse(self, purchase: Purchase) -> None:
        """Place an order, and roll it back because the card is refused."""
        with suppress(CardRefusedError), transaction.atomic():
            self._order(purchase)
            raise CardRefusedError


def _join(purchase: Purchase) -> Customer:
    number, cdnow_number = purchase.customer, purchase.cdnow_number
    return Customer.objects.create(number=number, cdnow_number=cdnow_number, joined_on=purchase.day)


def _picks() -> Iterator[Product]:
    """Yield the CDs that are bought, the same ones in every replay; some are more popular than others."""
    random = Random(1997)
    products = list(Product.objects.order_by("pk"))
    weights = [random.paretovariate(1.5) for _ in products]
    while True:
        yield random.choices(products, weights)[0]
