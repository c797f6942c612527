"""The configuration of the demonstration."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Real purchases replayed through the shop."""

    name = "demo"
