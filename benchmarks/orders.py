"""A model of twelve columns, made anew for each way of keeping track of it, and its rows in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

WATCHED = ("status", "total", "customer")
STATUSES = ("paid", "packed", "sent")

VALUES: Mapping[str, Any] = {
    "note": "Leave it with the neighbours, please.",
    "status": "new",
    "number": "A-1000",
    "total": Decimal("129.90"),
    "is_gift": False,
    "ordered_at": datetime(2026, 5, 4, 12, 30, tzinfo=UTC),
    "updated_at": datetime(2026, 5, 6, 8, 15, 30, tzinfo=UTC),
    "extra": {"source": "shop", "lines": [1, 2, 3]},
    "customer_id": 1,
    "weight": 3,
    "email": "a@example.com",
}


def model(name: str, bases: Sequence[type], attributes: Mapping[str, Any]) -> Any:
    """Return a model of orders with these bases and attributes as well."""
    from django.db import models

    fields: dict[str, models.Field[Any, Any]] = {
        "note": models.TextField(),
        "status": models.CharField(max_length=20),
        "number": models.CharField(max_length=20),
        "total": models.DecimalField(max_digits=10, decimal_places=2),
        "is_gift": models.BooleanField(),
        "ordered_at": models.DateTimeField(),
        "updated_at": models.DateTimeField(),
        "extra": models.JSONField(),
        "customer": models.ForeignKey(_customer(), models.CASCADE, related_name="+"),
        "weight": models.IntegerField(),
        "email": models.CharField(max_length=100),
    }
    return _made(name, (*bases, models.Model), {**fields, **attributes})


def fill(models: Sequence[Any], count: int) -> None:
    """Create the tables, with the same rows in each."""
    from django.db import connection

    first, *others = models
    with connection.schema_editor() as schema:
        for one in (_customer(), *models):
            schema.create_model(one)
    _customer().objects.create()
    first.objects.bulk_create([first(**VALUES) for _ in range(count)])
    with connection.cursor() as cursor:
        for other in others:
            cursor.execute(f"INSERT INTO {other._meta.db_table} SELECT * FROM {first._meta.db_table}")


@cache
def _customer() -> Any:
    from django.db import models

    return _made("Customer", (models.Model,), {})


def _made(name: str, bases: tuple[type, ...], attributes: Mapping[str, Any]) -> Any:
    meta = type("Meta", (), {"app_label": "benchmarks"})
    return type(name, bases, {"__module__": __name__, "Meta": meta, **attributes})
