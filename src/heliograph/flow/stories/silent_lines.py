"""The writes of a model that send nothing, as lines of a story."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heliograph.flow.stories.cascades import cascade_of, described, on_delete_of


def lines_of_silence(model: Any, operation: str, using: str) -> Iterator[str]:
    """Yield which writes send nothing: of relations that are left to the database, and past the ORM's methods."""
    if operation == "delete":
        left = cascade_of(model, using).left_alone
        if left:
            yield f"Nothing is sent for {', '.join(described(left))}: Django leaves these rows to the database."
    for one in model._meta.concrete_fields:
        if one.is_relation and on_delete_of(one).startswith("DB_"):
            yield (
                f"Nothing is sent where a row goes with its {one.related_model._meta.label}: {one.name} is"
                f" {on_delete_of(one)}."
            )
    yield "Nothing is sent by raw SQL, by triggers, or by _raw_delete()."
