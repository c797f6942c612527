"""Chunks: so many primary keys at once as one statement takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections


def in_chunks(model: Any, using: str, pks: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield so many primary keys at once as one statement takes."""
    keys = len(model._meta.pk_fields)
    # A composite key takes a node of the condition for each row, of which SQLite has no more than a thousand.
    most = 300 if keys > 1 else connections[using].features.max_query_params or len(pks)
    for start in range(0, len(pks), max(most, 1)):
        yield pks[start : start + most]
