"""The configuration of the shop's mails."""

from django.apps import AppConfig


class MailingConfig(AppConfig):
    """What the shop writes to its customers."""

    name = "mailing"

    def ready(self) -> None:
        """Connect the receivers."""
        from mailing import receivers  # noqa: F401 - to connect them
