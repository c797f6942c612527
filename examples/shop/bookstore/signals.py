"""The signals that the bookstore declares."""

from heliograph import Signal

from bookstore.models import Book, Purchase


@Signal.define
def book_bought(sender, *, purchase: Purchase) -> None:
    """A reader bought a book; the purchase is stored."""


@Signal.define
def stock_low(sender, *, product: Book, left: int) -> None:
    """Fewer copies than five are left, and there were more before."""
