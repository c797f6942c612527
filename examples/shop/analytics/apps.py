"""The configuration of the statistics."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """The statistics of the shop."""

    name = "analytics"

    def ready(self) -> None:
        """Connect the receivers."""
        from analytics import figures, receivers  # noqa: F401 - to connect them
