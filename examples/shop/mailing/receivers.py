"""When the shop writes to its customers."""

from typing import Any

from heliograph import Durable, receiver

from mailing import letters
from store.models import Order
from store.signals import order_placed


@receiver(order_placed, delivery=Durable(queue="mail"))
def confirm_order(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Confirm an order, in a worker: not before it is committed, and not if it is cancelled by then."""
    if letter := letters.confirmation(order):
        letter.send()
