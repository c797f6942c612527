"""The backend whose workers look into the table: those of `manage.py outbox run`."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.outbox.backends.base import Backend


class DatabaseBackend(Backend):
    """Workers claim what is due themselves; on PostgreSQL the statement that writes a row wakes them."""

    is_told = False
    options = {}  # noqa: RUF012 - as the base declares it

    def tell(self, using: str, ids: Sequence[int], queue: str) -> None:
        """Do nothing: the table tells."""
