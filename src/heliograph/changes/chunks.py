"""Chunks: primary keys in groups that are small enough for one statement."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections

from heliograph.databases import database_of


def in_chunks(model: Any, using: str, pks: Sequence[Any], *, locks: bool = False) -> Iterator[Sequence[Any]]:
    """Yield primary keys in groups that are small enough for one statement of the database.

    `locks` is for a query that locks rows, and is to read no others.
    """
    most = _most(model, connections[using], locks)
    for start in range(0, len(pks), most):
        yield pks[start : start + most]


def _most(model: Any, connection: Any, locks: bool) -> int:
    if len(model._meta.pk_fields) > 1:
        return 300  # each row is a node of the condition, and SQLite allows a depth of a thousand
    limits = (connection.features.max_query_params, database_of(connection).most_locked_keys if locks else None)
    return min((one for one in limits if one is not None), default=sys.maxsize)
