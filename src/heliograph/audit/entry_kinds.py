"""A condition on the kinds of entries, whose numbers are asked first, so that the database knows how many fit."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import BooleanField, F, Func, Q

from heliograph.audit.models import Kind


class OfKinds(Func):
    """Whether an entry is of one of the kinds that fit a condition.

    A database that joins the kinds reads a million entries backwards for a page of a rare kind; one that is given their
    numbers takes the index. So each statement is preceded by a query of the kinds, of which there are few.
    """

    conditional = True

    def __init__(self, column: Any, which: Q, **extra: Any) -> None:
        super().__init__(column, which=which, output_field=BooleanField())

    def as_sql(self, compiler: Any, connection: Any, *names: Any, **extra: Any) -> tuple[str, tuple[Any, ...]]:
        kinds = Kind.objects.using(connection.alias).filter(self.extra["which"])
        numbers = sorted(kinds.values_list("pk", flat=True))
        if not numbers:
            raise EmptyResultSet
        column, parameters = compiler.compile(self.get_source_expressions()[0])
        return f"{column} IN ({', '.join(['%s'] * len(numbers))})", (*parameters, *numbers)


def of_kinds(which: Q) -> Q:
    """Return the condition on entries that their kinds fit a condition on kinds."""
    return Q(OfKinds(F("kind_id"), which))
