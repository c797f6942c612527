"""The blocks in which the outbox reads and writes the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.db import Error, connections, transaction

from heliograph.changes.row_locks import locking_block
from heliograph.outbox.models import Delivery


def writing(using: str) -> AbstractContextManager[None]:
    """Return a transaction that reads deliveries and then writes them.

    On SQLite it takes the lock for writing first: after it has read, another transaction may write, and SQLite would
    refuse the writes of this one.
    """
    return locking_block(connections[using], transaction.atomic(using), Delivery)


def block_of_attempt(using: str, *, atomic: bool) -> AbstractContextManager[None]:
    """Return the block of an attempt: a transaction, or with `atomic=False` none, also in the transaction of a test."""
    if atomic:
        return writing(using)
    connection = connections[using]
    blocks: Any = connection.atomic_blocks
    return _as_in_autocommit(connection) if blocks and blocks[-1]._from_testcase else nullcontext()


@contextmanager
def _as_in_autocommit(connection: Any) -> Iterator[None]:
    """Keep an error of the database from ending the transaction of a test, as it ends nothing in autocommit."""
    savepoint = connection.savepoint()
    try:
        yield
    except BaseException as error:
        _end(connection, savepoint, is_broken=isinstance(error, Error))
        raise
    _end(connection, savepoint, is_broken=False)


def _end(connection: Any, savepoint: str, *, is_broken: bool) -> None:
    if is_broken or connection.needs_rollback:
        connection.needs_rollback = False
        connection.savepoint_rollback(savepoint)
    connection.savepoint_commit(savepoint)
