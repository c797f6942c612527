"""The configuration of the pages."""

from django.apps import AppConfig


class BackofficeConfig(AppConfig):
    """The shop's pages."""

    name = "backoffice"
