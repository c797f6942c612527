"""The tables that have rows after a test."""

import weakref
from itertools import compress

from django.apps import apps
from django.db import DatabaseError, connections


class FilledTables:
    """Finds the tables of models that have rows, in one database, by one statement.

    This runs after each test with transactions. To ask for the tables that are there takes a server as long as to look
    into them, so it is asked once for each set of models. PostgreSQL plans the statement for ten times as long as it
    runs, so it prepares it, once for each session.
    """

    def __init__(self, alias):
        self.alias = alias
        self.models = None
        self.tables = []
        self.session = None

    def __call__(self):
        """Return the names of the tables that have rows."""
        models = apps.get_models(include_auto_created=True)  # the same list until a model comes or goes
        if models is not self.models:
            self._find_tables(models)
        try:
            return self._with_rows()
        except DatabaseError:  # a table is not there now
            self._find_tables(None)
            return self._with_rows()

    @property
    def connection(self):
        return connections[self.alias]

    def _find_tables(self, models):
        tables = self.connection.introspection.django_table_names(only_existing=True, include_views=False)
        self.models, self.tables, self.session = models, tables, None

    def _with_rows(self):
        with self.connection.cursor() as cursor:
            cursor.execute(self._prepared(cursor) if self.connection.vendor == "postgresql" else self._question())
            return list(compress(self.tables, cursor.fetchone()))

    def _question(self):
        names = map(self.connection.ops.quote_name, self.tables)
        return f"SELECT {', '.join(f'EXISTS (SELECT 1 FROM {name})' for name in names)}"

    def _prepared(self, cursor):
        if self.session is None or self.session() is not self.connection.connection:
            cursor.execute("DEALLOCATE ALL")
            cursor.execute(f"PREPARE filled_tables AS {self._question()}")
            self.session = weakref.ref(self.connection.connection)
        return "EXECUTE filled_tables"
