"""The ledger of a connection: the calls that wait for the end of its transaction.

They are in Django's own list of functions to call on commit. So a block of `atomic()` that is rolled back, an error or
a lost connection also removes the calls that were kept in it. Django's list does not notice a savepoint that is rolled
back by hand. Each call therefore has the savepoint time since which it waits, which knows whether it was undone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from django.db.transaction import TransactionManagementError

from heliograph.conf import setting
from heliograph.dispatch import Call
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.reentrancy import Handling, at_work
from heliograph.orm.savepoint_times import SavepointTime, now


class Stage(Enum):
    """When in the end of a transaction calls are made."""

    BEFORE_COMMIT = "before the commit, and may cause more"
    LAST = "right before the commit, when nothing else is left"
    AFTER_COMMIT = "after the commit"
    AFTER_ROLLBACK = "after the rollback of what was sent"


class Ending(ABC):
    """A policy that makes its calls at the end of a transaction."""

    stage: ClassVar[Stage]

    @staticmethod
    @abstractmethod
    def make(due: Sequence[Pending]) -> None:
        """Make these calls, of receivers with this kind of policy: their time has come."""


@dataclass(slots=True, eq=False, repr=False)
class Pending:
    """A call that waits for the end of a transaction."""

    policy: Ending
    call: Call
    using: str  # the alias of the database
    cause: Pending | None = None  # the one that was made, before the same commit, when this was noted
    depth: int = 0  # how many causes there were, one of the other
    at_work: tuple[Handling, ...] = ()  # the receivers that were at work then, by this cause
    is_made: bool = False
    moment: SavepointTime | None = None  # the savepoint time since which it waits

    @property
    def is_due(self) -> bool:
        """Whether the call is still to be made: it was not made, and no rollback has undone its send."""
        return not self.is_made and not self.is_undone

    @property
    def is_undone(self) -> bool:
        """Whether a rollback has undone the change that was sent."""
        return self.moment is not None and self.moment.is_undone

    def __call__(self) -> None:
        """Make the call: for those who run what waits for a commit themselves, as tests do."""
        if self.is_due:
            self.is_made = True
            self.policy.make([self])

    def __repr__(self) -> str:
        return f"<{self.policy!r} of {full_name(self.call.receiver)}>"


# What is made now, before a commit, and so is the cause of what is noted.
made_now: ContextVar[Pending | None] = ContextVar("heliograph_made_now", default=None)


def pending(policy: Ending, call: Call, using: str) -> Pending:
    """Return a call that waits from now on."""
    cause = made_now.get()
    return (
        Pending(policy, call, using)
        if cause is None
        else Pending(policy, call, using, cause, cause.depth + 1, at_work())
    )


def note(connection: Any, one: Pending) -> None:
    """Let a call wait for the end of the transaction that is open."""
    one.moment = now(connection)
    if one.policy.stage is Stage.AFTER_ROLLBACK:
        connection.__dict__.setdefault(ON_ROLLBACK, []).append(one)
    else:
        connection.on_commit(one, robust=one.policy.stage is Stage.AFTER_COMMIT)


def note_first(connection: Any, one: Pending) -> None:
    """Let a call wait for the end of the transaction that is open, before all that wait for it already."""
    note(connection, one)
    connection.run_on_commit.insert(0, connection.run_on_commit.pop())


# The attribute of a connection with the calls that wait for a rollback: Django has no list for these.
ON_ROLLBACK = "_heliograph_on_rollback"


def verify_commit(connection: Any, receiver: Any) -> None:
    """Raise TransactionManagementError where somebody commits by hand, after which nothing would be called."""
    if connection.atomic_blocks:
        is_auto = connection.commit_on_exit
    else:  # a connection that is not open yet does not know itself
        is_auto = connection.autocommit if connection.connection else connection.settings_dict["AUTOCOMMIT"]
    if not is_auto:
        raise TransactionManagementError(
            f"{full_name(receiver)} waits for the end of a transaction, and {connection.alias!r} is committed by hand"
            " (autocommit is off), of which Django tells nobody. Use atomic(), or connect it with delivery=Inline()."
        )


def is_in_transaction(connection: Any) -> bool:
    """Return whether there is a commit to wait for; the blocks that Django puts around a test do not come to one."""
    blocks = connection.atomic_blocks
    return bool(blocks) and not is_of_test(blocks[-1])


def is_of_test(block: Any) -> bool:
    """Return whether an atomic block is one that Django puts around a test, and the test is to go on without it."""
    return bool(block._from_testcase and setting("COMMIT_IN_TESTS"))


def is_outermost(connection: Any) -> bool:
    """Return whether the end of the innermost block is that of the transaction."""
    blocks = connection.atomic_blocks
    return bool(blocks) and (len(blocks) == 1 or is_of_test(blocks[-2])) and not is_of_test(blocks[-1])


def taken(connection: Any, *stages: Stage, start: int = 0) -> list[Pending]:
    """Take the calls of these stages out of the ledger, from a place in it on."""

    def is_wanted(entry: Any) -> bool:
        return type(entry[1]) is Pending and entry[1].policy.stage in stages

    entries = connection.run_on_commit[start:]
    found = [function for _, function, _ in filter(is_wanted, entries)]
    if found:
        connection.run_on_commit[start:] = [entry for entry in entries if not is_wanted(entry)]
    return [one for one in found if one.is_due]


_HELD = "_heliograph_held"


def hold_until_end(connection: Any, release: Callable[[], None]) -> None:
    """Let a function be called when the transaction that is open has ended, whether it was committed or not."""
    connection.__dict__.setdefault(_HELD, []).append(release)


def is_held(connection: Any) -> bool:
    """Return whether something is to be called at the end of a transaction."""
    return _HELD in connection.__dict__


def release_held(connection: Any) -> None:
    """Call what was to be called at the end of a transaction."""
    for release in connection.__dict__.pop(_HELD, ()):
        release()


def run_first(connection: Any, function: Callable[[], None]) -> None:
    """Run a function before all else that is to be done on commit: what a callback of others raises loses the rest."""
    connection.run_on_commit.insert(0, (set(), function, True))
