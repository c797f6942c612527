"""The verbs for the outbox: what waits there is asserted, and made in the test."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS

from heliograph.outbox.outcomes import Outcome
from heliograph.testing import stored_deliveries
from heliograph.testing.draining import Drain
from heliograph.testing.due_calls import DescribedSend
from heliograph.testing.matching import Wanted
from heliograph.testing.performed_calls import perform
from heliograph.testing.stored_deliveries import Enqueued
from heliograph.testing.workers_awaited import wait_for_workers
from heliograph.testing.writes_under_way import Changes

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

Receiver = Callable[..., Any]


class Outbox:
    """The verbs for the outbox of one database, whose alias is `using`; calls are made in the thread of the test.

    pytest has the fixture `outbox`, and a TestCase `OutboxTests`. A verb whose name begins with `a` does the same in
    async code.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        self.using = using

    def enqueued(self, receiver: Receiver | None = None, /) -> list[Enqueued]:
        """Return the `Enqueued` calls that wait for a worker, of one receiver or of all, in their order."""
        return stored_deliveries.enqueued(self.using, receiver)

    def assert_enqueued(
        self, receiver: Receiver, /, *, sender: Any = None, times: int | None = None, **values: Any
    ) -> Enqueued:
        """Return the first `Enqueued` call of a receiver for a send from this sender, with these values among others.

        `queue` and `key` are values too. With `times`, there must be exactly so many. AssertionError lists the calls
        that wait, the nearest first.
        """
        return stored_deliveries.assert_enqueued(self.using, receiver, Wanted(sender, values), times)

    def assert_not_enqueued(self, receiver: Receiver, /, *, sender: Any = None, **values: Any) -> None:
        """Raise AssertionError, which lists the calls, if such a call of a receiver waits for a worker."""
        stored_deliveries.assert_not_enqueued(self.using, receiver, Wanted(sender, values))

    def drain(
        self,
        *,
        raising: bool = True,
        until: timedelta = timedelta(),
        queues: Collection[str] | None = None,
    ) -> list[Outcome]:
        """Make the deliveries that are due, also those that receivers send meanwhile, and return the outcomes.

        `until` is how much time passes for the outbox at most: retries and later deliveries that are due by then are
        made too, in their order, without waiting. `queues` are the names of the queues, None for all. With `raising`,
        the errors of deliveries that have failed in the end are raised: one as it is, several as an ExceptionGroup.
        """
        return Drain(self.using, queues, until).outcomes(raising=raising)

    def perform(
        self,
        receiver: Receiver,
        /,
        *,
        signal: Any = None,
        sender: Any = None,
        changes: Changes | None = None,
        **given: Any,
    ) -> Any:
        """Call a durable receiver as a worker would for a send with these values, and return its response.

        The values go through the text that the table would have. Arguments are those of `Signals.deliver`. Raises
        NotCalledError if the receiver is not due, TypeError for a receiver that is not durable and for a value that
        cannot be stored, LookupError (a `MissingError`) for an instance that has no row, and what the receiver raises.
        """
        return perform(DescribedSend(receiver, given, signal, sender, changes), self.using)

    def wait_for_workers(self, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Return when workers in other processes have made everything that is due.

        Raises AssertionError, which lists what is left, when the time is over, and RuntimeError in a transaction, whose
        rows no worker sees.
        """
        wait_for_workers(self.using, timeout)

    # --- in async code --------------------------------------------------------------------------------------------

    async def aenqueued(self, receiver: Receiver | None = None, /) -> list[Enqueued]:
        """Do what `enqueued` does."""
        return await sync_to_async(self.enqueued)(receiver)

    async def aassert_enqueued(
        self, receiver: Receiver, /, *, sender: Any = None, times: int | None = None, **values: Any
    ) -> Enqueued:
        """Do what `assert_enqueued` does."""
        return await sync_to_async(self.assert_enqueued)(receiver, sender=sender, times=times, **values)

    async def aassert_not_enqueued(self, receiver: Receiver, /, *, sender: Any = None, **values: Any) -> None:
        """Do what `assert_not_enqueued` does."""
        await sync_to_async(self.assert_not_enqueued)(receiver, sender=sender, **values)

    async def adrain(
        self, *, raising: bool = True, until: timedelta = timedelta(), queues: Collection[str] | None = None
    ) -> list[Outcome]:
        """Do what `drain` does."""
        return await sync_to_async(self.drain)(raising=raising, until=until, queues=queues)

    async def aperform(self, receiver: Receiver, /, **given: Any) -> Any:
        """Do what `perform` does, with the same arguments."""
        return await sync_to_async(self.perform)(receiver, **given)

    async def await_for_workers(self, timeout: timedelta = timedelta(seconds=30)) -> None:  # noqa: ASYNC109 - a verb
        """Do what `wait_for_workers` does."""
        await sync_to_async(self.wait_for_workers)(timeout)
