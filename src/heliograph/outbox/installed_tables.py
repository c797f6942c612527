"""Whether a database has the tables of the outbox as this release needs them."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections

APP = "heliograph_outbox"


def delivery_model() -> Any:
    """Return the model of deliveries, for modules that are imported before Django has loaded models."""
    return apps.get_model(APP, "Delivery")


def is_migrated(using: str) -> bool:
    """Return whether a database has every table of the outbox, with the columns that this release uses."""
    return all(is_there(using, model) for model in apps.get_app_config(APP).get_models())


def is_there(using: str, model: Any) -> bool:
    """Return whether a database has the table of a model, with the columns that this release uses."""
    connection = connections[using]
    table, columns = model._meta.db_table, {field.column for field in model._meta.concrete_fields}
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        return columns <= {one.name for one in connection.introspection.get_table_description(cursor, table)}


def not_migrated(using: str) -> str:
    """Return the sentence about a database that is not migrated."""
    option = "" if using == DEFAULT_DB_ALIAS else f" --database {using}"
    return (
        f"The tables of the outbox on {using!r} are missing, or of another release:"
        f" manage.py migrate{option} makes them."
    )
