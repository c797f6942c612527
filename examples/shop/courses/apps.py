"""The configuration of the courses."""

from django.apps import AppConfig


class CoursesConfig(AppConfig):
    """Lessons, progress, and a certificate for whoever finishes them."""

    name = "courses"

    def ready(self) -> None:
        """Connect the receivers."""
        from courses import receivers  # noqa: F401 - to connect them
