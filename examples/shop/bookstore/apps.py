"""The configuration of the bookstore."""

from django.apps import AppConfig


class BookstoreConfig(AppConfig):
    """Books with reviews and stock, and points for whoever buys them."""

    name = "bookstore"

    def ready(self) -> None:
        """Connect the receivers."""
        from bookstore import receivers  # noqa: F401 - to connect them
