"""A field for names, which every database compares with respect to case."""

from __future__ import annotations

from typing import Any

from django.db import models

from heliograph.databases import database_of


class NameField(models.CharField):  # type: ignore[type-arg]  # it takes no arguments when it runs
    """A short text whose case matters; in other columns, MariaDB and MySQL find "Mail" where "mail" is asked for."""

    def db_type(self, connection: Any) -> str | None:
        kind = super().db_type(connection)
        return kind and database_of(connection).exact_text(kind)
