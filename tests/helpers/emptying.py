"""The tables that have rows after a test, and how they are emptied."""

from functools import cache, cached_property

from django.apps import apps
from django.core.management.color import no_style
from django.db import Error, connections


class FilledTables:
    """Finds the tables of models that have rows, in one database, by one statement, and empties them.

    This runs after each test with transactions. To ask for the tables that are there takes a server as long as to look
    into them, so it is asked once for each set of models. A server plans the statement for ten times as long as it
    runs, and in a new session it first reads what it knows of each table. So the statement is prepared once, in a
    session of its own: Django closes the connections of a test at its end.
    """

    def __init__(self, alias):
        self.alias = alias
        self.models = None
        self.tables = []

    def __call__(self):
        """Return the names of the tables that have rows."""
        models = apps.get_models(include_auto_created=True)  # the same list until a model comes or goes
        if models is not self.models:
            self._find_tables(models)
        try:
            return self._with_rows()
        except Error:  # a table is not there now, or a test has ended all sessions
            self.close()
            self._find_tables(None)
            return self._with_rows()

    def empty(self):
        """Delete the rows of all tables, in one transaction, after the end of a transaction that a test left open."""
        connections[self.alias].close()
        if filled := self():
            statements = self.connection.ops.sql_flush(no_style(), filled)
            with self.connection.cursor() as cursor:
                for statement in ("BEGIN", *statements, "COMMIT"):
                    cursor.execute(statement)

    def close(self):
        """End the session until it is used again."""
        self.models = None
        self.connection.close()

    @cached_property
    def connection(self):
        return connections[self.alias].copy()

    def _find_tables(self, models):
        tables = self.connection.introspection.django_table_names(only_existing=True, include_views=False)
        self.models, self.tables = models, tables
        with self.connection.cursor() as cursor:
            for statement in self._preparations():
                cursor.execute(statement)

    def _preparations(self):
        match self.connection.vendor:
            case "postgresql":
                return ["DEALLOCATE ALL", f"PREPARE filled_tables AS {self._question()}"]
            case "mysql":
                return [f"PREPARE filled_tables FROM '{self._question()}'"]
        return []  # the driver keeps what it has compiled

    def _with_rows(self):
        with self.connection.cursor() as cursor:
            cursor.execute(self._question() if self.connection.vendor == "sqlite" else "EXECUTE filled_tables")
            return [self.tables[number] for (number,) in cursor.fetchall()]

    def _question(self):
        names = enumerate(map(self.connection.ops.quote_name, self.tables))
        return " UNION ALL ".join(f"SELECT {number} WHERE EXISTS (SELECT 1 FROM {name})" for number, name in names)


filled_tables = cache(FilledTables)
