"""The configuration of the comments."""

from django.apps import AppConfig


class CommentsConfig(AppConfig):
    """Comments on posts, with replies, mentions and moderation."""

    name = "comments"

    def ready(self) -> None:
        """Connect the receivers."""
        from comments import receivers  # noqa: F401 - to connect them
