"""Rollbacks: the calls of `OnRollback()`, made when a rollback undoes the change that a signal was sent for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connections, transaction

from heliograph.orm.savepoints import savepoint_rollback
from heliograph.orm.steps import PatchLease, Step
from heliograph.transactions.flush import finish
from heliograph.transactions.pending import ON_ROLLBACK, Pending


def _steps() -> Iterator[Step]:
    yield savepoint_rollback.step("call_undone", _savepoint_rollback)


# Each receiver with `OnRollback()` takes this, besides the patches of the end of a transaction.
of_savepoints = PatchLease(_steps)


def _savepoint_rollback(connection: Any, _: Any, sid: str) -> None:
    waiting: list[Pending] = connection.__dict__.pop(ON_ROLLBACK, [])
    kept = [one for one in waiting if not one.is_undone]
    if kept:
        connection.__dict__[ON_ROLLBACK] = kept
    finish(one for one in waiting if one.is_undone)


def apart(using: str) -> AbstractContextManager[Any]:
    """Return a savepoint block, so that a database error in it does not break a transaction that is still open.

    Without an open transaction the block does nothing.
    """
    connection = connections[using]
    goes_on = connection.in_atomic_block and not connection.needs_rollback and not connection.closed_in_transaction
    return transaction.atomic(using) if goes_on else nullcontext()
