"""The field of names, which every database compares letter by letter."""

from __future__ import annotations

from typing import Any

from django.db import models

from heliograph.databases import database_of


class NameField(models.CharField):  # type: ignore[type-arg]  # it takes no arguments when it runs
    """A short text; in others, MariaDB and MySQL see no difference between capitals and small letters."""

    def db_type(self, connection: Any) -> str | None:
        kind = super().db_type(connection)
        return kind and database_of(connection).exact_text(kind)
