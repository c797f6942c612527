"""Stored decimals: a decimal that SQL computes has as many places as its column, also on SQLite."""

from __future__ import annotations

from typing import Any

from django.db.models import DecimalField, Func


class Stored(Func):
    """A decimal as its column stores it: SQLite keeps all digits of a float, where others round to the column's."""

    template = "%(expressions)s"
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Round in SQL; SQLite's ROUND gives the float that is nearest to the decimal."""
        decimals = self.output_field.decimal_places  # type: ignore[attr-defined]
        return self.as_sql(compiler, connection, template=f"ROUND(%(expressions)s, {decimals})", **context)


def stored(value: Any, field: Any) -> Any:
    """Return an expression for a field, rounded as its column would be if it is a decimal."""
    return Stored(value, output_field=field) if isinstance(field, DecimalField) else value
