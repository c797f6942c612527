"""What the store sends to the other apps."""

from heliograph import Signal

from store.models import Order


@Signal.define
def order_placed(sender, *, order: Order) -> None:
    """A customer placed an order; its items are stored."""


@Signal.define
def order_totalled(sender, *, order: Order) -> None:
    """An order was added up, at the end of the transaction in which its items changed."""


stock_low = Signal()  # sent with the product and the day, before the last CDs are sold
