"""Pending calls: the calls that wait for the end of a connection's transaction.

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

from django.db import connections
from django.db.transaction import TransactionManagementError

from heliograph.conf import setting
from heliograph.dispatch import Call
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.reentrancy import Handling, at_work
from heliograph.orm.savepoint_times import SavepointTime, now


class Stage(Enum):
    """The point in a transaction, mostly in its end, at which calls are made."""

    BEFORE_WRITE = "right before the statement of the write that was sent"
    AFTER_WRITE = "right after the statement of the write that was sent"
    BEFORE_COMMIT = "before the commit, and may cause more"
    LAST = "before the commit, when no call before it is left; it may cause more"
    STORED = "right before the commit, when no other call is left"
    AFTER_COMMIT = "after the commit"
    AFTER_ROLLBACK = "after the rollback of what was sent"


class WritePayload(dict[str, Any]):
    """The part of a payload of pre_save or post_save that comes from the write itself."""


class Staged(ABC):
    """A delivery policy that makes its calls at a stage of a transaction."""

    stage: ClassVar[Stage]
    is_of_changes: ClassVar[bool] = False  # whether a save that changes nothing needs no transaction for it


class Ending(Staged):
    """A delivery policy that makes its calls at the end of a transaction."""

    @staticmethod
    @abstractmethod
    def make(due: Sequence[Pending]) -> None:
        """Make these calls of receivers with this kind of policy, now that their stage is reached."""


@dataclass(slots=True, eq=False, repr=False)
class Pending:
    """A call that waits for the end of a transaction."""

    policy: Ending
    call: Call
    using: str  # the alias of the database
    cause: Pending | None = None  # the call before the same commit whose receiver has caused this one
    depth: int = 0  # the length of the chain of causes
    at_work: tuple[Handling, ...] = ()  # the receivers that were at work when this call was caused
    is_made: bool = False
    since: SavepointTime | None = None  # the savepoint time since which it waits; None before it waits

    @property
    def is_due(self) -> bool:
        """Whether the call is still to be made: it was not made, and no rollback has undone its send."""
        since = self.since
        return not self.is_made and (since is None or not since.transaction.has_rollback or not since.is_undone)

    @property
    def is_undone(self) -> bool:
        """Whether a rollback has undone the change that was sent."""
        return self.since is not None and self.since.is_undone

    def __call__(self) -> None:
        """Make the call. Tests call this when they run Django's list of functions to call on commit themselves."""
        if self.is_due:
            self.is_made = True
            self.policy.make([self])

    def __repr__(self) -> str:
        return f"<{self.policy!r} of {full_name(self.call.receiver)}>"


# The call before a commit that is being made, and so is the cause of calls that are kept meanwhile.
made_now: ContextVar[Pending | None] = ContextVar("heliograph_made_now", default=None)


def pending(policy: Ending, call: Call, using: str) -> Pending:
    """Return a call that waits: until the end of the open transaction; if none is open, its `since` is None."""
    connection, cause = connections[using], made_now.get()
    verify_commit(connection, call.receiver)
    one = Pending(policy, call, using)
    if cause is not None:
        one.cause, one.depth, one.at_work = cause, cause.depth + 1, at_work()
    if is_in_transaction(connection):
        keep(connection, one)
    return one


def keep(connection: Any, one: Pending) -> None:
    """Keep a call pending until the end of the open transaction."""
    one.since = now(connection)
    if one.policy.stage is Stage.AFTER_ROLLBACK:
        connection.__dict__.setdefault(ON_ROLLBACK, []).append(one)
    else:
        connection.on_commit(one, robust=one.policy.stage is Stage.AFTER_COMMIT)


def keep_first(connection: Any, one: Pending) -> None:
    """Keep a call pending until the end of the open transaction, before all calls that are pending already."""
    keep(connection, one)
    connection.run_on_commit.insert(0, connection.run_on_commit.pop())


# The attribute of a connection with the calls that wait for a rollback: Django has no list for these.
ON_ROLLBACK = "_heliograph_on_rollback"


def take_rollback_calls(connection: Any) -> list[Pending]:
    """Remove all calls that wait for a rollback from the connection, and return them."""
    waiting: list[Pending] = connection.__dict__.pop(ON_ROLLBACK, [])
    return waiting


def verify_commit(connection: Any, receiver: Any) -> None:
    """Raise TransactionManagementError for a connection that is committed by hand: Django reports no end of that."""
    if connection.atomic_blocks:
        is_auto = connection.commit_on_exit
    else:  # a connection that is not open yet does not know itself
        is_auto = connection.autocommit if connection.connection else connection.settings_dict["AUTOCOMMIT"]
    if not is_auto:
        raise TransactionManagementError(
            f"{full_name(receiver)} waits for the end of a transaction, and {connection.alias!r} is committed by hand"
            " (autocommit is off). Django sends nothing at such a commit. Use atomic(), or connect it with"
            " delivery=Inline()."
        )


# While COMMIT_IN_TESTS is set, the blocks of atomic() that Django puts around a test count as none: the block inside of
# them is the transaction, although it ends as a savepoint does.


def is_in_transaction(connection: Any) -> bool:
    """Return whether a transaction with a commit to wait for is open."""
    blocks = connection.atomic_blocks
    return bool(blocks) and not (blocks[-1]._from_testcase and is_of_test(blocks[-1]))


def is_of_test(block: Any) -> bool:
    """Return whether an atomic block is one that Django puts around a test, and counts as none."""
    if not block._from_testcase:
        return False
    is_rehearsal = getattr(block, OF_REHEARSAL, None)
    return bool(setting("COMMIT_IN_TESTS") if is_rehearsal is None else is_rehearsal)


# The attribute of the block of a rehearsal, which counts as a block of a test whatever the setting says. It is False
# for a block inside of a rehearsal that is a transaction to us, and the block of a test to Django.
OF_REHEARSAL = "_heliograph_rehearsal"


# The attribute of a connection with the functions to call at the end of its transaction.
HELD = "_heliograph_held"


def hold_until_end(connection: Any, release: Callable[[], None]) -> None:
    """Call a function when the open transaction has ended, whether it was committed or not."""
    connection.__dict__.setdefault(HELD, []).append(release)


def release_held(connection: Any) -> None:
    """Call the functions that wait for the end of the transaction."""
    for release in connection.__dict__.pop(HELD, ()):
        release()


def run_first(connection: Any, function: Callable[[], None]) -> None:
    """Run a function first of all on commit: an error in a function of others would lose it."""
    connection.run_on_commit.insert(0, (set(), function, True))
