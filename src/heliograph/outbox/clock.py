"""The clock of the database, as expressions, so that a worker whose own clock is wrong takes no delivery too early."""

from __future__ import annotations

from typing import Any

from django.db.models import DateTimeField, Func

from heliograph.databases import database_with_outbox


class DatabaseNow(Func):
    """The present time of the database.

    Django's `Now()` is in the time zone of the session on MySQL and MariaDB.
    """

    output_field = DateTimeField()

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        return database_with_outbox(connection).clock.now, []


class DatabaseLater(Func):
    """The time of the database in so many seconds; a time in the past if they are negative."""

    output_field = DateTimeField()

    def __init__(self, seconds: float, **extra: Any) -> None:
        super().__init__(**extra)
        self.seconds = seconds

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        database = database_with_outbox(connection)
        return database.clock.later, [database.interval(self.seconds)]


class DatabaseLaterAtLast(DatabaseLater):
    """The same, counted from when the row is written: a statement that waits for a lock begins long before."""

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        database = database_with_outbox(connection)
        return database.clock.later_at_last, [database.interval(self.seconds)]
