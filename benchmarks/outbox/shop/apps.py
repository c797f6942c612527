"""The app that imports the receivers, where its project has some."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class ShopConfig(AppConfig):
    """The orders of a project."""

    name = "benchmarks.outbox.shop"
    label = "shop"

    def ready(self) -> None:
        if hasattr(settings, "RECEIVERS"):
            import_module(settings.RECEIVERS)
