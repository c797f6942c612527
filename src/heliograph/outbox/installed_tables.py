"""Whether a database has the tables of the outbox as this release needs them."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from heliograph.migrated_tables import MigratedTables

APP = "heliograph_outbox"

#: The table to which other apps write deliveries, and all tables of the outbox.
DELIVERIES, TABLES = MigratedTables(APP, "Delivery"), MigratedTables(APP)


def delivery_model() -> Any:
    """Return the model of deliveries, for modules that are imported before Django has loaded models."""
    return apps.get_model(APP, "Delivery")


def is_migrated(using: str) -> bool:
    """Return whether a database has every table of the outbox, with the columns that this release uses."""
    return TABLES.are_there(using)


def not_migrated(using: str) -> str:
    """Return the sentence about a database that is not migrated."""
    option = "" if using == DEFAULT_DB_ALIAS else f" --database {using}"
    return (
        f"The tables of the outbox on {using!r} are missing, or of another release:"
        f" manage.py migrate{option} makes them."
    )
