"""The number of each row of an UPDATE, or another value, as an expression of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Expression, F
from django.db.models.expressions import SQLiteNumericMixin


class NumberOfEach(SQLiteNumericMixin, Expression):
    """A number for each row of a table, by its primary key, and 0 for the others; or values, and NULL.

    Django's `Case` has a condition for each number, and resolves each of them: for a hundred rows that takes longer
    than the UPDATE.
    """

    def __init__(self, numbers: Mapping[Any, Any], field: Any, others: str = "0") -> None:
        super().__init__(output_field=field)
        self.numbers = numbers
        self.others = others
        self.key: Any = F("pk")

    def get_source_expressions(self) -> list[Any]:
        return [self.key]

    def set_source_expressions(self, exprs: Any) -> None:
        (self.key,) = exprs

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return `CASE id WHEN 1 THEN 20 WHEN 2 THEN 30 ELSE 0 END`."""
        key, params = compiler.compile(self.key)
        pairs = (
            value
            for pk, number in self.numbers.items()
            for value in (
                self.key.target.get_db_prep_value(pk, connection),
                self.output_field.get_db_prep_value(number, connection),
            )
        )
        return f"CASE {key} {'WHEN %s THEN %s ' * len(self.numbers)}ELSE {self.others} END", [*params, *pairs]
