"""The configuration of the store."""

from django.apps import AppConfig
from heliograph.signals import post_migrate


class StoreConfig(AppConfig):
    """The record shop itself."""

    name = "store"

    def ready(self) -> None:
        """Connect the receivers."""
        from store import figures, receivers  # noqa: F401 - to connect them

        # The sender of post_migrate is the app's configuration, which exists here and not when receivers.py is read.
        post_migrate.connect(receivers.stock_catalogue, sender=self, dispatch_uid="store.stock_catalogue")
