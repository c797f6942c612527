"""The Django project in which everything is measured."""

import django
from django.conf import settings


def set_up() -> None:
    """Set Django up, with its signals adopted and a database in memory."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(INSTALLED_APPS=["heliograph"], DATABASES={"default": database}, USE_TZ=True)
    django.setup()
