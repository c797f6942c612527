"""Savepoint times: when in a transaction something was done, and whether a rollback has undone it.

Django reports no rollback, neither of a savepoint nor of a transaction. So the steps of `savepoints` record both
on the connection, while somebody needs them. The time goes on at each savepoint and at each rollback:

    with transaction.atomic():              # savepoint time 0
        book.save()                         # remembered since savepoint time 0
        with transaction.atomic():          # a savepoint: savepoint time 1
            book.save()                     # remembered since savepoint time 1
            raise ValueError                # everything since savepoint time 1 is undone
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_
from typing import Any, NamedTuple

# The attribute of a connection with the record of its transaction.
RECORD = "_heliograph_transaction"


class Mark(NamedTuple):
    """A savepoint, and the tick at which it was made."""

    savepoint: str
    tick: int


class Transaction:
    """The savepoints and rollbacks of one transaction of a connection."""

    __slots__ = ("has_rollback", "is_open", "is_rolled_back", "marks", "present", "undone")

    def __init__(self) -> None:
        self.present = SavepointTime(self, 0)
        self.marks: list[Mark] = []  # of the open savepoints, the oldest first
        self.undone: list[tuple[int, int]] = []  # ticks (after, until] that were rolled back
        self.is_open = True
        self.is_rolled_back = False
        self.has_rollback = False  # whether it was rolled back, or a savepoint of it was

    def mark(self, savepoint: str) -> None:
        """Record a new savepoint."""
        self.marks.append(Mark(savepoint, self._advance()))

    def release(self, savepoint: str) -> None:
        """Forget a released savepoint, and the savepoints after it: no rollback to them is possible any more."""
        at = self._index_of(savepoint)
        if at is not None:
            del self.marks[at:]

    def roll_back_to(self, savepoint: str) -> None:
        """Record a rollback to a savepoint; to the beginning, if the savepoint was not recorded."""
        self.has_rollback = True
        at = self._index_of(savepoint)
        self.undone.append((-1 if at is None else self.marks[at].tick, self._advance()))
        del self.marks[0 if at is None else at + 1 :]

    def roll_back(self) -> None:
        """Record that all of it was rolled back."""
        self.is_open, self.is_rolled_back, self.has_rollback = False, True, True

    def _index_of(self, savepoint: str) -> int | None:
        """Return the index of the last savepoint of this name: after `clean_savepoints()` Django uses names again."""
        indexes = (at for at in reversed(range(len(self.marks))) if self.marks[at].savepoint == savepoint)
        return next(indexes, None)

    def _advance(self) -> int:
        """Begin the next savepoint time, and return the tick of the one before."""
        tick = self.present.tick
        self.present = SavepointTime(self, tick + 1)
        return tick


@dataclass(frozen=True, slots=True, eq=False)
class SavepointTime:
    """The time between two savepoints of a transaction."""

    transaction: Transaction
    tick: int

    @property
    def is_undone(self) -> bool:
        """Whether a rollback has undone what was done at this time."""
        transaction = self.transaction
        return transaction.is_rolled_back or any(after < self.tick <= until for after, until in transaction.undone)

    def goes_with(self, earlier: SavepointTime) -> bool:
        """Return whether what was done at both times is undone together: no open savepoint lies between them."""
        if self is earlier or self.transaction is not earlier.transaction:
            return self is earlier
        return not any(earlier.tick <= mark.tick < self.tick for mark in self.transaction.marks)


def now(connection: Any) -> SavepointTime | None:
    """Return the present savepoint time of a connection; None in autocommit, where nothing can be rolled back."""
    if connection.autocommit:
        return None
    transaction: Transaction | None = connection.__dict__.get(RECORD)
    if transaction is None:
        transaction = connection.__dict__[RECORD] = Transaction()
    return transaction.present


def identity_of_transaction(connection: Any) -> tuple[Any, ...]:
    """Return objects that no other transaction of a connection has together, or nothing in autocommit.

    The outermost block is not enough: a function with the decorator `atomic` enters the same one at each call. Django
    begins a new list of callbacks after each transaction, and after the rollback of a savepoint.
    """
    blocks = connection.atomic_blocks
    return (blocks[0], connection.run_on_commit) if blocks else ()


def is_same_transaction(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Return whether two identities are of one transaction."""
    return bool(one and other) and all(map(is_, one, other))
