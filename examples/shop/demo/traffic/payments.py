"""Readers who pay with all kinds of cards, and cancel what they have paid."""

from random import Random

from bookstore.models import Book, Purchase
from bookstore.services import buy, cancel, restock
from demo.traffic.onboarding import person
from payments import services
from payments.models import Card, Payment

MORE = 4  # copies of each book


def open_it(random: Random) -> None:
    """Put more copies on the shelves, since more is bought: a book that is sold out is paid by nobody."""
    for book in Book.objects.order_by("pk"):
        restock(book, MORE)


def _pay(random: Random, purchase: Purchase) -> None:
    services.pay(purchase, random.choice([Card.GOOD, Card.ANSWER_LOST, Card.ANSWER_LOST, Card.REFUSED]))


def buy_and_pay(random: Random) -> None:
    """A reader buys a copy of a book, and pays it."""
    _pay(random, buy(person(random), random.choice(Book.objects.order_by("pk"))))


def pay_later(random: Random) -> None:
    """A reader pays an older purchase, maybe for the second time, or though it is cancelled."""
    if purchases := Purchase.objects.order_by("pk"):
        _pay(random, random.choice(purchases))


def cancel_paid(random: Random) -> None:
    """A reader cancels a purchase with a payment, maybe before its card is charged."""
    if payments := Payment.objects.select_related("purchase").order_by("pk"):
        cancel(random.choice(payments).purchase)


ACTIONS = (buy_and_pay, buy_and_pay, pay_later, cancel_paid)
