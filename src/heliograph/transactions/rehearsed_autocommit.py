"""Autocommit in a rehearsal: what fails outside of atomic() fails alone, and the code that has caught it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from heliograph.databases import database_of
from heliograph.orm import atomic, cursors
from heliograph.orm.steps import PatchLease, Proceed, Step
from heliograph.transactions.pending import OF_REHEARSAL

_SAVEPOINT = "heliograph_statement"
_OF_BLOCKS = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO")  # the statements that begin and end a block of atomic()


def begin_block(proceed: Proceed, block: Any) -> Any:
    """Begin a block of atomic(); where it stands for a transaction, an error in it undoes it, and nothing else."""
    before = block.savepoint
    block.savepoint = before or _is_in_autocommit(connections[block.using or DEFAULT_DB_ALIAS])
    try:
        return proceed(block)
    finally:
        block.savepoint = before  # a decorator begins the same block again


def mark_for_rollback(proceed: Proceed, using: str | None) -> AbstractContextManager[Any]:
    """Return the context manager around a single query of the ORM: outside of atomic() there is nothing to mark."""
    is_alone = _is_in_autocommit(connections[using or DEFAULT_DB_ALIAS])
    found: AbstractContextManager[Any] = nullcontext() if is_alone else proceed(using)
    return found


def execute_alone(proceed: Proceed, cursor: Any, sql: Any, *args: Any) -> Any:
    """Execute a statement; outside of atomic(), on a database whose transactions an error aborts, in a savepoint."""
    connection = cursor.db
    is_alone = database_of(connection).aborts and _is_in_autocommit(connection)
    if not is_alone or str(sql).startswith(_OF_BLOCKS):
        return proceed(cursor, sql, *args)
    # By the driver: the statement is one query for whoever counts queries.
    with connection.connection.cursor() as bare:
        bare.execute(f"SAVEPOINT {_SAVEPOINT}")
        try:
            return proceed(cursor, sql, *args)
        except Exception:
            with suppress(connection.Database.Error):  # the connection may be gone
                bare.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            raise
        finally:
            with suppress(connection.Database.Error):
                bare.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")


def _is_in_autocommit(connection: Any) -> bool:
    """Return whether code here would be outside of atomic() if it were not rehearsed."""
    blocks = connection.atomic_blocks
    return bool(blocks) and hasattr(blocks[-1], OF_REHEARSAL)


def _steps() -> Iterator[Step]:
    yield atomic.begin.step("rehearse", begin_block)
    yield atomic.mark.step("rehearse", mark_for_rollback)
    yield cursors.execute.step("rehearse", execute_alone)
    yield cursors.execute_many.step("rehearse", execute_alone)


of_autocommit = PatchLease(_steps)
