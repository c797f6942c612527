"""A rehearsal: a block in which code runs as in production, and nothing of it stays in the databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import Error, connections, transaction
from django.db.transaction import TransactionManagementError

from heliograph.databases import database_of
from heliograph.transactions.flush import REHEARSAL
from heliograph.transactions.pending import OF_REHEARSAL, Pending
from heliograph.transactions.rehearsed_autocommit import of_autocommit


@dataclass
class Rehearsal:
    """The calls that a `rehearsal()` has held back, and the errors with which databases would have refused the commit.

    - `after_commit`: the pending calls of receivers that would have been made after a commit.
    - `functions`: pairs of the alias of a database and a function that was given to `transaction.on_commit()`.
    - `refused`: by the alias of a database, the error with which it would have refused the commit.
    """

    after_commit: list[Pending] = field(default_factory=list)  # the calls that would have been made after a commit
    # The functions that code has given to `transaction.on_commit()`, each with the alias of the database.
    functions: list[tuple[str, Callable[[], Any]]] = field(default_factory=list)
    refused: dict[str, Error] = field(default_factory=dict)  # why a database would have refused the commit, by alias

    def hold(self, one: Pending) -> None:
        """Hold a call back that is due after a commit."""
        self.after_commit.append(one)


@contextmanager
def rehearsal(*aliases: str) -> Iterator[Rehearsal]:
    """A context manager that runs a block as in production, on these databases or on all, and rolls it back.

        with rehearsal() as held:
            import_products("products.csv")
        len(held.after_commit)  # so many calls would have followed the commit

    Each save commits as it would without the block: receivers before the commit are called, deliveries are stored, and
    `atomic(durable=True)` is allowed. Code that catches an error outside of `atomic()` goes on. Receivers after the
    commit, notices to backends and the functions of `transaction.on_commit()` are held back. At the end the databases
    check their constraints, as a commit would. A rollback does not undo sequences, caches, files, mails, requests,
    other threads, or instances in memory.

    Raises TransactionManagementError inside a transaction, except the transaction of a test.
    """
    held, connected = Rehearsal(), [connections[alias] for alias in aliases or _aliases()]
    for connection in connected:
        _verify_none_open(connection)
    autocommit = of_autocommit.take()
    with ExitStack() as stack:
        for connection in connected:
            stack.enter_context(_rehearsed(connection, held))
        yield held
    del autocommit


def _aliases() -> Sequence[str]:
    return [alias for alias in connections if not connections[alias].settings_dict.get("TEST", {}).get("MIRROR")]


def _verify_none_open(connection: Any) -> None:
    if not all(block._from_testcase and getattr(block, OF_REHEARSAL, True) for block in connection.atomic_blocks):
        raise TransactionManagementError(
            f"rehearsal() would roll back the transaction that is open on {connection.alias!r}: begin the rehearsal"
            " outside of atomic()."
        )


@contextmanager
def _rehearsed(connection: Any, held: Rehearsal) -> Iterator[None]:
    """Let a block of one database count as the block that Django puts around a test, and roll it back."""
    block: Any = transaction.atomic(connection.alias)
    block._from_testcase = True
    setattr(block, OF_REHEARSAL, True)
    before = connection.__dict__.get(REHEARSAL)
    with block:
        callbacks = len(connection.run_on_commit)
        connection.__dict__[REHEARSAL] = held
        try:
            yield
            _check_constraints(connection, held)
        finally:
            connection.__dict__[REHEARSAL] = before
            held.functions += [(connection.alias, entry[1]) for entry in connection.run_on_commit[callbacks:]]
            transaction.set_rollback(True, connection.alias)


@contextmanager
def rehearsed_transaction(using: str) -> Iterator[None]:
    """A transaction inside of a rehearsal, in which `atomic(durable=True)` is allowed: its end is no commit."""
    block: Any = transaction.atomic(using)
    setattr(block, OF_REHEARSAL, False)
    with block:
        block._from_testcase = True  # so that Django allows it
        try:
            yield
        finally:
            block._from_testcase = False


def _check_constraints(connection: Any, held: Rehearsal) -> None:
    """Let a database check what it would check at the commit."""
    if connection.needs_rollback:
        return
    try:
        database_of(connection).check_deferred_constraints(connection)
    except Error as error:
        held.refused[connection.alias] = error
