"""The chore by which workers of the outbox seal the audit log and make partitions for its next entries."""

from __future__ import annotations

from django.db import router

from heliograph.audit.models import Entry
from heliograph.audit.partitioning import add_partitions, is_partitioned
from heliograph.audit.sealing import seal
from heliograph.outbox.upkeep.chores import Chore, add_chore

_PAUSE = 60.0  # seconds


def add() -> None:
    """Let the workers of the outbox seal."""
    add_chore(Chore("seal the audit log", seal_where_it_is, lambda: _PAUSE))


def seal_where_it_is(using: str) -> None:
    """Seal the entries of a database, if it has the tables; leave entries of open transactions to the next run."""
    if router.allow_migrate_model(using, Entry):
        seal(using)
        if is_partitioned(using):
            add_partitions(using)
