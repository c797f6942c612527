"""The configuration of the payments."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """Payments of purchases, by a payment service that is pretended."""

    name = "payments"

    def ready(self) -> None:
        """Connect the receivers."""
        from payments import receivers  # noqa: F401 - to connect them
