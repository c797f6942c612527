"""The configuration of the checkout."""

from django.apps import AppConfig


class CheckoutConfig(AppConfig):
    """The app that the load adds to the shop; it is installed behind the others, and ready after them."""

    name = "benchmarks.load.checkout"
    label = "checkout"

    def ready(self) -> None:
        """Connect the receiver that is compared, in the place of the shop's own."""
        from benchmarks.load.checkout import receivers  # noqa: F401 - to connect them
