"""Moments of a transaction: when something was done, and whether a rollback has undone it."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import is_
from typing import Any, NamedTuple

_NAME = "_heliograph_transaction"


class Mark(NamedTuple):
    """A savepoint, and the tick at which it was made."""

    savepoint: str
    tick: int


@dataclass(slots=True, eq=False)
class Transaction:
    """An open transaction of a connection, as far as its rollbacks go."""

    moment: SavepointTime = field(init=False)  # the present
    marks: list[Mark] = field(default_factory=list)  # of the open savepoints, the oldest first
    undone: list[tuple[int, int]] = field(default_factory=list)  # ticks (after, until] that were rolled back
    is_open: bool = True
    is_rolled_back: bool = False

    def __post_init__(self) -> None:
        self.moment = SavepointTime(self, 0)

    def mark(self, savepoint: str) -> None:
        """Record a new savepoint."""
        self.marks.append(Mark(savepoint, self._pass()))

    def release(self, savepoint: str) -> None:
        """Forget a released savepoint, and the savepoints after it: no rollback to them is possible any more."""
        at = self._place_of(savepoint)
        if at is not None:
            del self.marks[at:]

    def roll_back_to(self, savepoint: str) -> None:
        """Record that all since a savepoint is undone; since the beginning, if the savepoint was not recorded."""
        at = self._place_of(savepoint)
        self.undone.append((-1 if at is None else self.marks[at].tick, self._pass()))
        del self.marks[0 if at is None else at + 1 :]

    def _place_of(self, savepoint: str) -> int | None:
        """Return the index of the last savepoint of this name: after `clean_savepoints()` Django uses names again."""
        places = (at for at in reversed(range(len(self.marks))) if self.marks[at].savepoint == savepoint)
        return next(places, None)

    def _pass(self) -> int:
        """Let time pass, and return the tick that is over."""
        tick = self.moment.tick
        self.moment = SavepointTime(self, tick + 1)
        return tick


@dataclass(frozen=True, slots=True, eq=False)
class SavepointTime:
    """A time between two savepoints of a transaction."""

    transaction: Transaction
    tick: int

    @property
    def is_undone(self) -> bool:
        """Whether what was done at this moment was rolled back."""
        transaction = self.transaction
        return transaction.is_rolled_back or any(after < self.tick <= until for after, until in transaction.undone)

    def goes_with(self, earlier: SavepointTime) -> bool:
        """Return whether what was done at both is undone together: no savepoint lies between them any more."""
        if self is earlier or self.transaction is not earlier.transaction:
            return self is earlier
        return not any(earlier.tick <= mark.tick < self.tick for mark in self.transaction.marks)


def now(connection: Any) -> SavepointTime | None:
    """Return the present moment of a connection, or None in autocommit, where nothing can be rolled back."""
    if connection.autocommit:
        return None
    transaction: Transaction | None = connection.__dict__.get(_NAME)
    if transaction is None:
        transaction = connection.__dict__[_NAME] = Transaction()
    return transaction.moment


def identity_of_transaction(connection: Any) -> tuple[Any, ...]:
    """Return objects that together no other transaction of a connection has, or nothing in autocommit.

    The outermost block is not enough: a function with the decorator `atomic` enters the same one at each call. Django
    begins a new list of callbacks after each transaction, and after the rollback of a savepoint.
    """
    blocks = connection.atomic_blocks
    return (blocks[0], connection.run_on_commit) if blocks else ()


def is_same_transaction(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Return whether two identities are that of one transaction."""
    return bool(one and other) and all(map(is_, one, other))


# --- what a connection tells ----------------------------------------------------------------------------------


def savepoint_made(connection: Any, savepoint: str | None) -> None:
    """Note a new savepoint; None is one that the database does not have."""
    transaction = connection.__dict__.get(_NAME)
    if transaction is not None and savepoint is not None:
        transaction.mark(savepoint)


def savepoint_released(connection: Any, savepoint: str) -> None:
    """Note that a savepoint is gone, and what was done since it stays as long as what was done before."""
    transaction = connection.__dict__.get(_NAME)
    if transaction is not None:
        transaction.release(savepoint)


def savepoint_rolled_back(connection: Any, savepoint: str) -> None:
    """Note that a savepoint was rolled back."""
    transaction = connection.__dict__.get(_NAME)
    if transaction is not None:
        transaction.roll_back_to(savepoint)


def ended(connection: Any, *, rolled_back: bool) -> None:
    """Note that the transaction is over, if there is one."""
    transaction = connection.__dict__.pop(_NAME, None)
    if transaction is not None:
        transaction.is_open, transaction.is_rolled_back = False, rolled_back
