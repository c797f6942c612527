"""The backend for workers of `manage.py outbox run`, which look for deliveries in the table."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from heliograph.databases import database_of
from heliograph.databases.general import Database
from heliograph.outbox.notify.backend import Backend
from heliograph.outbox.notify.notices import wake


class DatabaseBackend(Backend):
    """The backend whose workers, of `manage.py outbox run`, look into the table; on PostgreSQL a notice wakes them.

    Its option in `HELIOGRAPH_OUTBOX` is `NOTICES`, True by default. Raises ImproperlyConfigured for another option.
    """

    is_external = False
    options = {"NOTICES": True}  # noqa: RUF012 - as the base declares it

    def is_notified(self, database: Database) -> bool:
        return database.has_notices and bool(self.settings["NOTICES"])

    def notify(self, using: str, ids: Sequence[int], queue: str) -> None:
        if self.is_notified(database_of(connections[using])):
            wake(using, queue)
