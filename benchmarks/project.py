"""The Django project in which everything is measured."""

import django
from django.conf import settings


def set_up() -> None:
    """Set Django up, with its signals adopted."""
    settings.configure(INSTALLED_APPS=["heliograph"])
    django.setup()
