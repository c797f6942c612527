"""The app that has the table of documents."""

from django.apps import AppConfig


class SearchConfig(AppConfig):
    """The index in the database as a Django app."""

    name = "heliograph.recipes.search"
    label = "heliograph_search"
    verbose_name = "Search"
    default_auto_field = "django.db.models.BigAutoField"
