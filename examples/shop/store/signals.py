"""What the store sends to the other apps."""

from heliograph import Signal

from store.models import Order


@Signal.define
def order_placed(sender, *, order: Order) -> None:
    """A customer placed an order; its items are stored."""


stock_low = Signal()  # sent with the product and the day, before the last CDs are sold
