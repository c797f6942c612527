"""The policies that make their calls at the end of a transaction."""

from __future__ import annotations

import logging
from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import Any, ClassVar

from asgiref.sync import async_to_sync
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_save

from heliograph.catalogue import title
from heliograph.dispatch import Call
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.describe import describe, full_name
from heliograph.dispatch.identity import Receiver, object_identity
from heliograph.dispatch.option_errors import named_options
from heliograph.dispatch.options import Options
from heliograph.orm.steps import Hold
from heliograph.transactions import rollbacks, schemas
from heliograph.transactions.autocommit_save import OncePerSave, save_of
from heliograph.transactions.batch_receivers import OF_A_BATCH, asks_for_batch, verify_batch
from heliograph.transactions.collect import BatchDeferral
from heliograph.transactions.database_of_send import SIGNALS_WITH_DATABASE, alias_of_send
from heliograph.transactions.ending import holds_on_end
from heliograph.transactions.flush import make_alone
from heliograph.transactions.late_calls import Awaiting, Deferral, awaited
from heliograph.transactions.net import together
from heliograph.transactions.pending import Ending, Pending, Stage, pending

logger = logging.getLogger("heliograph.transactions")


@dataclass(frozen=True, repr=False)
class AtTheEnd(Ending):
    """A policy that makes its calls at the end of the transaction of their send."""

    batch: bool = False

    _flags: ClassVar[tuple[str, ...]] = ("batch",)
    extra: ClassVar[frozenset[str]] = frozenset()  # the names that it gives a receiver beyond the signal's

    def __post_init__(self) -> None:
        for name in self._flags:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{type(self).__name__}({name}=...) takes True or False, not {getattr(self, name)!r}.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}=True' for name in self._flags if getattr(self, name))})"

    def connected(self, options: Options, receiver: Receiver, target: Target) -> Options:
        """Return the options of a receiver whose calls are kept until the end of the transaction."""
        _verify(self, receiver, target)
        is_early = target.signal is post_save and self.stage is not Stage.AFTER_COMMIT
        facts = (Awaiting(self._holds(target)), *((OncePerSave(),) if is_early else ()))
        options = replace(options, facts=(*options.facts, *facts))
        of_batch = (options, together, object_identity(receiver))
        call = BatchDeferral(*of_batch) if self.batch else Deferral(options)
        gives = (OF_A_BATCH if self.batch else options.gives) | self.extra
        return replace(options, call=call, gives=gives, blocking=True, defers=True, asks_batch=self.batch)

    def _holds(self, target: Target) -> tuple[Hold, ...]:
        return holds_on_end(target) + (schemas.watching() if self.batch else ())

    def deliver(self, call: Call) -> None:
        """Keep the call until the end of the transaction; without a transaction, make it now."""
        using = call.payload.get("using")
        using = using if isinstance(using, str) else self._database_of(call)
        kept = self.kept(call, using)
        if kept is None:
            return
        one = pending(self, kept, using)
        if one.since is not None:
            return
        save = save_of(call.payload)
        if save is not None:
            save.keep(one)
        else:
            make_alone(one)

    def kept(self, call: Call, using: str) -> Call | None:
        """Return the part of a call that is kept until the end of the transaction; None if the call is left out."""
        return call

    def _database_of(self, call: Call) -> str:
        return alias_of_send(call.payload) or DEFAULT_DB_ALIAS


@named_options
@dataclass(frozen=True, repr=False)
class BeforeCommit(AtTheEnd):
    """The delivery policy that makes the call as the last step of the transaction, and inside it.

    An error of the receiver rolls the transaction back. With `batch=True` there is one call for all sends of the
    transaction, and the receiver has a parameter named `batch`, which gets a `Batch`. With `last=True` the call is made
    when no call without it is left: what it causes is made next, before the other last calls.

    Raises TypeError for a flag that is neither True nor False. Where a receiver is connected, TypeError is raised for a
    signal that is never about a database, and for a receiver that does not take a batch. A send raises TypeError if it
    names no database, and TransactionManagementError where commits are made by hand (`set_autocommit(False)`).
    Receivers that go on causing each other end with `UnsettledError`.
    """

    last: bool = False

    stage: ClassVar[Stage] = Stage.BEFORE_COMMIT
    _flags: ClassVar[tuple[str, ...]] = ("batch", "last")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.last:
            object.__setattr__(self, "stage", Stage.LAST)

    @staticmethod
    def make(due: Sequence[Pending]) -> None:
        """Make these calls, and let what they raise through."""
        for one in due:
            response = one.call.make()
            if isawaitable(response):
                async_to_sync(awaited)(response)

    def _database_of(self, call: Call) -> str:
        using = alias_of_send(call.payload)
        if using is None:
            raise TypeError(
                f"{describe(call.receiver)} is to run before a commit, and {title(call.payload['signal'])} was sent"
                " without anything that says of which database: send using=..., the instance of a model, or from a"
                " model."
            )
        return using


@named_options
@dataclass(frozen=True, repr=False)
class OnCommit(AtTheEnd):
    """The delivery policy that makes the call after the outermost commit; after a rollback there is no call.

    An error of a receiver is logged under "heliograph.transactions", and the other receivers are still called. With
    `batch=True` there is one call for all sends of the transaction, and the receiver has a parameter named `batch`,
    which gets a `Batch`. Async receivers run concurrently, after the sync ones. A process that dies right after the
    commit loses the call; `Durable` does not.

    Raises TypeError for a `batch` that is neither True nor False. Where a receiver is connected, TypeError is raised
    for a receiver that does not take a batch. A send raises TransactionManagementError where commits are made by hand.
    """

    stage: ClassVar[Stage] = Stage.AFTER_COMMIT

    @staticmethod
    def make(due: Sequence[Pending]) -> None:
        """Make these calls, and log their errors."""
        _make_robustly(due, "the commit")


@named_options
@dataclass(frozen=True, repr=False)
class OnRollback(AtTheEnd):
    """The delivery policy that makes the call after a rollback: of the transaction, or of a savepoint around the send.

    The call is made in autocommit, or in the transaction that is still open. An error of a receiver is logged under
    "heliograph.transactions", and the other receivers are still called. With `batch=True` there is one call for all
    sends that one rollback undoes, and the receiver has a parameter named `batch`, which gets a `Batch`. Async
    receivers run concurrently, after the sync ones.

    Raises TypeError for a `batch` that is neither True nor False. Where a receiver is connected, TypeError is raised
    for a signal that is never about a database, and for a receiver that does not take a batch. A send raises
    TransactionManagementError where commits are made by hand.
    """

    stage: ClassVar[Stage] = Stage.AFTER_ROLLBACK

    @staticmethod
    def make(due: Sequence[Pending]) -> None:
        """Make these calls, each in a savepoint if a transaction is still open, and log their errors."""
        _make_robustly(due, "the rollback", rollbacks.apart)

    def _holds(self, target: Target) -> tuple[Hold, ...]:
        return *super()._holds(target), rollbacks.of_savepoints.take()


Around = Callable[[str], AbstractContextManager[Any]]


def _make_robustly(due: Sequence[Pending], after: str, around: Around = nullcontext) -> None:
    """Make calls, each in a block of its database, and log their errors."""
    begun = []
    for one in due:
        try:
            with around(one.using):
                response = one.call.make()
        except Exception as error:
            _log(one.call, error, after)
        else:
            if response is not None and isawaitable(response):
                begun.append((one.call, response))
    if begun:
        with around(due[0].using):
            async_to_sync(_beside)(begun, after)


async def _beside(begun: Sequence[tuple[Call, Awaitable[Any]]], after: str) -> None:
    await gather(*(_awaited_robustly(call, response, after) for call, response in begun))


async def _awaited_robustly(call: Call, response: Awaitable[Any], after: str) -> None:
    try:
        await response
    except Exception as error:
        _log(call, error, after)


def _log(call: Call, error: Exception, after: str) -> None:
    logger.error("Error calling %s after %s (%s)", full_name(call.receiver), after, error, exc_info=error)


# --- mistakes ---------------------------------------------------------------------------------------------------


def _verify(policy: AtTheEnd, receiver: Receiver, target: Target) -> None:
    """Raise TypeError for a receiver that cannot be called with this policy."""
    is_of_none = target.entry is not None and target.entry.name not in SIGNALS_WITH_DATABASE
    if policy.stage is not Stage.AFTER_COMMIT and is_of_none:
        raise TypeError(
            f"{describe(receiver)}: delivery={policy!r} needs a transaction, and {title(target.signal)} is not about a"
            f" database. These are: {', '.join(SIGNALS_WITH_DATABASE)}. Leave delivery= out, or take OnCommit()."
        )
    if policy.batch and "batch" in (target.carries or ()):
        raise TypeError(
            f"{describe(receiver)}: {title(target.signal)} sends a batch of its own, of one write. Leave batch=True"
            " out; or connect it to post_save and post_delete with bulk=True, for one call for everything in a"
            " transaction."
        )
    if policy.batch:
        verify_batch(policy, receiver, OF_A_BATCH | policy.extra)
    elif asks_for_batch(receiver, target.carries):
        raise TypeError(
            f"{describe(receiver)} asks for a batch, which delivery={policy!r} does not give: pass batch=True to it."
        )
