"""The tables of an app, which a database has only when `migrate` has made them."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class MigratedTables:
    """The tables that an app writes to in the transactions of other apps.

    `migrate` may write rows of other apps, such as permissions, before it has made these tables.
    """

    def __init__(self, app: str, *models: str) -> None:
        """`app` is the label of an app, and `models` are names of its models; all of them if none is named."""
        self._app = app
        self._names = models
        self._migrating: set[str] = set()  # the aliases of the databases that `migrate` works on

    def follow_migrations(self, app_config: Any) -> None:
        """Connect to the signals of `migrate`, from its start until the app has been migrated."""
        pre_migrate.connect(self._begin, dispatch_uid=(__name__, self._app))
        post_migrate.connect(self._end, sender=app_config, dispatch_uid=(__name__, self._app))

    def are_awaited(self, using: str) -> bool:
        """Return whether `migrate` works on a database, and has not made the tables yet."""
        return using in self._migrating and not self.are_there(using)

    def are_there(self, using: str) -> bool:
        """Return whether a database has the tables, with the columns that this release uses."""
        config = apps.get_app_config(self._app)
        models = map(config.get_model, self._names) if self._names else config.get_models()
        return all(_is_there(using, model) for model in models)

    def _begin(self, using: str, **kwargs: Any) -> None:
        self._migrating.add(using)

    def _end(self, using: str, **kwargs: Any) -> None:
        if self.are_there(using):
            self._migrating.discard(using)


def _is_there(using: str, model: Any) -> bool:
    connection = connections[using]
    table, columns = model._meta.db_table, {field.column for field in model._meta.concrete_fields}
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        return columns <= {one.name for one in connection.introspection.get_table_description(cursor, table)}
