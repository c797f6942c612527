"""The configuration of the activity log."""

from django.apps import AppConfig


class ActivityConfig(AppConfig):
    """The activity log."""

    name = "activity"

    def ready(self) -> None:
        """Connect the receivers."""
        from activity import receivers  # noqa: F401 - to connect them
