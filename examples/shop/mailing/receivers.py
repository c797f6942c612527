"""When the shop writes to its customers."""

from typing import Any

from heliograph import OnCommit, receiver

from mailing import letters
from store.models import Order
from store.signals import order_placed


@receiver(order_placed, delivery=OnCommit())
def confirm_order(sender: type[Order], order: Order, **kwargs: Any) -> None:
    """Confirm an order once it is committed: a mail cannot be taken back."""
    if letter := letters.confirmation(order):
        letter.send()
