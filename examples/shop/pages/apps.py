"""The configuration of what the applications share."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """The index of the applications, and the look of their pages."""

    name = "pages"

    def ready(self) -> None:
        """Connect the receivers."""
        from pages import receivers  # noqa: F401 - to connect them
