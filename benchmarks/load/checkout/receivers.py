"""The confirmation of an order, delivered in the way that is measured."""

from typing import Any

from django.conf import settings
from mailing import letters
from mailing.receivers import confirm_order
from store.models import Order
from store.signals import order_placed

from benchmarks.load.variants import HEADER
from heliograph import Durable, Inline, OnCommit, receiver

DELIVERIES = {
    "inline": Inline(),
    "on_commit": OnCommit(),
    "durable": Durable(queue="mail"),
    settings.TEMPLATE: Inline(),  # whose orders nobody places
}

order_placed.disconnect(confirm_order)


@receiver(order_placed, delivery=DELIVERIES[settings.VARIANT])
def confirm(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Send the letter of the shop to the customer of an order, by a mail server that takes its time."""
    if letter := letters.confirmation(order):
        letter.extra_headers[HEADER] = str(order.pk)
        letter.send()
