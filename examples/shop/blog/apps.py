"""The configuration of the blog."""

from django.apps import AppConfig


class BlogConfig(AppConfig):
    """Posts that are published, found, and announced to followers."""

    name = "blog"

    def ready(self) -> None:
        """Connect the receivers."""
        from blog import receivers  # noqa: F401 - to connect them
