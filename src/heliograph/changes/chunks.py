"""Chunks: primary keys in groups that are small enough for one statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections


def in_chunks(model: Any, using: str, pks: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield primary keys in groups that are small enough for one statement of the database."""
    keys = len(model._meta.pk_fields)
    # With a composite key each row is a node of the condition, and SQLite allows a depth of a thousand.
    most = 300 if keys > 1 else connections[using].features.max_query_params or len(pks)
    for start in range(0, len(pks), max(most, 1)):
        yield pks[start : start + most]
