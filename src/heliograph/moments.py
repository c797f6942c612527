"""Moments of a transaction: when something was done, and whether a rollback has undone it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_NAME = "_heliograph_transaction"


@dataclass(slots=True, eq=False)
class Transaction:
    """An open transaction of a connection, as far as its rollbacks go."""

    moment: Moment = field(init=False)  # the present
    marks: dict[str, int] = field(default_factory=dict)  # the tick at which each savepoint was made
    undone: list[tuple[int, int]] = field(default_factory=list)  # ticks (after, until] that were rolled back
    is_open: bool = True
    is_rolled_back: bool = False

    def __post_init__(self) -> None:
        self.moment = Moment(self, 0)

    def mark(self, savepoint: str) -> None:
        """Note that a savepoint was made."""
        self.marks[savepoint] = self._pass()

    def release(self, savepoint: str) -> None:
        """Note that there is no way back to a savepoint any more."""
        self.marks.pop(savepoint, None)

    def roll_back_to(self, savepoint: str) -> None:
        """Note that what was done since a savepoint is undone; one that was made before all this counts as such."""
        self.undone.append((self.marks.get(savepoint, -1), self._pass()))

    def _pass(self) -> int:
        """Let time pass, and return the tick that is over."""
        tick = self.moment.tick
        self.moment = Moment(self, tick + 1)
        return tick


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A time between two savepoints of a transaction."""

    transaction: Transaction
    tick: int

    @property
    def is_undone(self) -> bool:
        """Whether what was done at this moment was rolled back."""
        transaction = self.transaction
        return transaction.is_rolled_back or any(after < self.tick <= until for after, until in transaction.undone)

    def goes_with(self, earlier: Moment) -> bool:
        """Return whether what was done at both is undone together: no savepoint lies between them any more."""
        if self is earlier or self.transaction is not earlier.transaction:
            return self is earlier
        return not any(earlier.tick <= mark < self.tick for mark in self.transaction.marks.values())


def now(connection: Any) -> Moment | None:
    """Return the present moment of a connection, or None in autocommit, where nothing can be rolled back."""
    if connection.autocommit:
        return None
    transaction: Transaction | None = connection.__dict__.get(_NAME)
    if transaction is None:
        transaction = connection.__dict__[_NAME] = Transaction()
    return transaction.moment


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
