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
    """The verbs for the outbox of one database: what waits for a worker is asserted, or made in the thread of the test.

        outbox = Outbox()
        outbox.assert_enqueued(confirm, instance=order)
        outbox.drain()

    `using` is the alias of the database. pytest has the fixture `outbox`, and a TestCase the mixin `OutboxTests`. A
    verb whose name has an `a` in front, such as `adrain`, does the same in async code.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        self.using = using

    def enqueued(self, receiver: Receiver | None = None, /) -> list[Enqueued]:
        """Return the `Enqueued` calls that wait for a worker, of one receiver or of all, in their order."""
        return stored_deliveries.enqueued(self.using, receiver)

    def assert_enqueued(
        self, receiver: Receiver, /, *, sender: Any = None, times: int | None = None, **values: Any
    ) -> Enqueued:
        """Assert that a call of a receiver waits for a worker, and return the first such `Enqueued`.

        It is for a send from this sender with these values; `queue` and `key` are values too. One call waits at least,
        or exactly as many `times`. AssertionError lists the calls that wait, the nearest first.
        """
        return stored_deliveries.assert_enqueued(self.using, receiver, Wanted(sender, values), times)

    def assert_not_enqueued(self, receiver: Receiver, /, *, sender: Any = None, **values: Any) -> None:
        """Assert that no such call of a receiver waits for a worker; AssertionError lists the calls."""
        stored_deliveries.assert_not_enqueued(self.using, receiver, Wanted(sender, values))

    def drain(
        self,
        *,
        raising: bool = True,
        until: timedelta = timedelta(),
        queues: Collection[str] | None = None,
    ) -> list[Outcome]:
        """Make the deliveries that are due, also those that their receivers cause, and return the outcomes.

            outbox.drain(until=timedelta(hours=1))

        - `until` lets so much time pass for the outbox, without waiting: retries and later deliveries that are due by
          then are made too, in their order.
        - `queues` has the names of the queues to make; None for all.
        - What receivers raise is raised, after all deliveries were attempted: one error as it is, several as an
          ExceptionGroup. An attempt that has failed does not count if a later one succeeds. With `raising=False`, the
          errors are in the outcomes only.
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

        The values, and the context of the test, are made into the text that the table would have, and are read from it:
        so a receiver that works in the process of the send and fails in a worker fails here. Arguments are those of
        `Signals.deliver`.

        Raises NotCalledError if the condition of the receiver does not hold, TypeError for a receiver that is not
        durable and for a value that cannot be stored, LookupError (a `MissingError`) for an instance that has no row,
        and what the receiver raises.
        """
        return perform(DescribedSend(receiver, given, signal, sender, changes), self.using)

    def wait_for_workers(self, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Wait until workers in other processes have made everything that is due, for tests with real workers.

        AssertionError lists what is left when the `timeout` is over. Raises RuntimeError in a transaction, such as that
        of a TestCase: no worker sees its rows.
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
