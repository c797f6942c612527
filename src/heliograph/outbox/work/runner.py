"""Runners: each claims deliveries and makes them one after the other, in one thread and on one connection."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from time import monotonic, sleep
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections

from heliograph.databases import database_of
from heliograph.outbox.conf import settings_of
from heliograph.outbox.delivery_rows import Claim
from heliograph.outbox.durable import registry
from heliograph.outbox.outcomes import Outcome, of_error
from heliograph.outbox.work.attempts import announce, attempt
from heliograph.outbox.work.claiming import claim, claim_one, hand_back, rename
from heliograph.outbox.work.elapsed import elapsed
from heliograph.outbox.work.lease_renewal import lease_renewal
from heliograph.outbox.work.recording import LostError, UnrecordedError, record
from heliograph.outbox.work.thread_connections import close_connections

# A runner claims so many deliveries at once at most, and no more than it makes in so many seconds. So none waits long
# for a busy runner while others have nothing to do.
MOST_CLAIMED = 100
SECONDS_CLAIMED = 0.25


# How long, in seconds, it is at most from one try to record an outcome to the next, while the database is away.
_LONGEST_PAUSE = 5.0

# How often, in seconds, a runner looks for deliveries of receivers that were renamed.
_SECONDS_NAMED = 1.0


def new_name() -> str:
    """Return a name for a worker that no other one has."""
    return f"{socket.gethostname()[:80]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class Runner:
    """Claims a few deliveries, and makes them."""

    def __init__(self, using: str, queues: Collection[str] | None = None) -> None:
        if isinstance(queues, str):
            raise TypeError(f"queues= takes a list of names, not {queues!r}: write [{queues!r}].")
        self.using = using
        self.queues = queues  # None for all
        self.name = new_name()
        self.size = 1
        self._claimed: deque[Claim] = deque()
        self._since = elapsed()  # when it began to claim
        self._lease = 0.0  # the seconds for which its claims hold if nobody renews them
        self._renamed = -_SECONDS_NAMED
        self._lock = threading.Lock()
        self._broken: tuple[Claim, Outcome] | None = None  # an attempt whose outcome is not recorded
        self._is_unsure = False  # whether it may have claimed more, in the table, than it knows of
        self._connection: Any = None  # of the thread that makes deliveries

    def outcomes(self, limit: int | None = None) -> Iterator[Outcome | None]:
        """Claim once, and yield the outcome of each attempt; None for a delivery that another worker has taken."""
        if self._is_unsure:
            self.mend()
        receivers = registry.known()
        self._claim(receivers, self.size if limit is None else min(self.size, limit))
        began, count = monotonic(), 0
        while one := self._next():
            outcome = self._attempt(one, receivers)
            if outcome is None:  # other workers may have taken the rest, too
                self.hand_back_waiting()
            yield outcome
            count += 1
        if count:
            self.size = _size_for((monotonic() - began) / count, self.size)

    def _claim(self, receivers: Mapping[str, list[registry.DurableReceiver]], size: int) -> None:
        former = registry.former_names(receivers)
        if former and monotonic() >= self._renamed + _SECONDS_NAMED:
            rename(self.using, former)
            self._renamed = monotonic()
        self._since, self._lease = elapsed(), settings_of("default").lease.total_seconds()
        with self._surely():
            self._claimed.extend(claim(self.using, self.name, receivers.keys(), self.queues, size))

    def _next(self) -> Claim | None:
        """Return the next delivery; None if there is none, or if the lease is over and others may have taken it."""
        if elapsed() - self._since >= self._lease:
            self.hand_back_waiting()
        with self._lock:
            return self._claimed.popleft() if self._claimed else None

    def _attempt(self, one: Claim, receivers: Mapping[str, Sequence[registry.DurableReceiver]]) -> Outcome | None:
        with self._surely():
            try:
                return attempt(one, receivers[one.receiver])
            except UnrecordedError as error:
                self._broken = (one, error.outcome)
                raise
            except Exception as error:
                retry = registry.chosen(receivers[one.receiver], one.signal, one.sender).policy.retry
                self._broken = (one, of_error(error, retry, one.attempt))
                raise

    @contextmanager
    def _surely(self) -> Iterator[None]:
        """Remember an error: the database may have done what it was asked, and this runner have more than it knows."""
        try:
            yield
        except BaseException:
            self._is_unsure = True
            raise

    def finish(self) -> None:
        """Record what is not recorded yet, and give back what has not begun."""
        if self._is_unsure:
            self.mend()
        self.hand_back_waiting()

    def mend(self) -> None:
        """Record the attempt that an error of the database has cut off, and give back all other deliveries."""
        if self._broken is not None:
            _record_late(*self._broken)
            self._broken = None
        self.give_up()
        self._is_unsure = False

    def hand_back_waiting(self, seconds: float = 0.0) -> None:
        """Give back deliveries that were claimed so many seconds ago and have not begun: other workers may be idle."""
        if elapsed() - self._since < seconds:
            return
        with self._lock:
            waiting = [one.id for one in self._claimed]
            self._claimed.clear()
        if waiting:
            with self._surely():
                hand_back(self.using, self.name, waiting)

    def give_up(self) -> None:
        """Give back all deliveries, also the one that runs, whose outcome cannot be recorded after that."""
        with self._lock:
            self._claimed.clear()
        hand_back(self.using, self.name)

    def abandon(self) -> None:
        """Give back all deliveries of a thread that does not return.

        On SQLite the thread may hold the lock of the database, so its connection is closed first, and what it does
        afterwards fails.
        """
        raw = None if self._connection is None else self._connection.connection
        if raw is not None and database_of(self._connection).has_one_writer:
            raw.close()
        self.give_up()

    def kept(self) -> AbstractContextManager[None]:
        """Return a block in which the leases are renewed, for the thread that makes deliveries.

        In a transaction, as in a test, nobody else sees what is claimed, and nothing is renewed.
        """
        self._connection = connections[self.using]
        if connections[self.using].in_atomic_block:
            return nullcontext()
        return lease_renewal.renewing(self.using, self.name)


def _record_late(claim: Claim, outcome: Outcome) -> None:
    try:
        record(claim, outcome)
    except LostError:  # or the first try was committed, and only its answer was lost
        return
    announce(claim, outcome, None)


def _size_for(seconds: float, size: int) -> int:
    """Return how many deliveries to claim next, if one takes so many seconds: up to four times as many as before."""
    return max(1, min(int(SECONDS_CLAIMED / max(seconds, 1e-6)), size * 4, MOST_CLAIMED))


def drain(
    using: str = DEFAULT_DB_ALIAS, queues: Collection[str] | None = None, limit: int | None = None
) -> list[Outcome]:
    """Make every delivery of a database that is due, in this thread, until none is; return the outcomes.

    The outcomes are a list of `Succeeded`, `Again`, `Snoozed`, `HandedBack`, `Discarded` and `Dead`. `using` is the
    alias of the database, `queues` are the names of the queues to look at, None for all; `limit` is the largest number
    of attempts. Deliveries for external workers, such as Celery, are left alone. Errors of receivers are
    recorded and not raised. A receiver that is called again later is not waited for.
    """
    runner, made = Runner(using, queues), list[Outcome | None]()
    with runner.kept(), giving_up(runner):
        while limit is None or len(made) < limit:
            more = [*runner.outcomes(None if limit is None else limit - len(made))]
            if not more:
                break
            made += more
    return [outcome for outcome in made if outcome is not None]


@contextmanager
def giving_up(runner: Runner) -> Iterator[None]:
    """Give back everything that a runner has claimed, if the block ends with an error."""
    try:
        yield
    except BaseException:
        with suppress(Error):  # of a database that does not answer; the first error says more
            runner.mend()
        raise


def run_one(number: int, using: str = DEFAULT_DB_ALIAS) -> Outcome | None:
    """Make the delivery with this id, for an external worker, and return the outcome.

    None if it is not due, or if another worker has it.
    """
    receivers, name = registry.known(), new_name()
    rename(using, registry.former_names(receivers))
    with lease_renewal.renewing(using, name):
        claimed = claim_one(using, name, receivers.keys(), number)
        if claimed is None:
            return None
        try:
            return attempt(claimed, receivers[claimed.receiver])
        except UnrecordedError as error:
            return _insisted(claimed, error.outcome)


def _insisted(claim: Claim, outcome: Outcome) -> Outcome:
    """Record an outcome when the database is back, if that is within a lease."""
    until, pause = elapsed() + settings_of("default").lease.total_seconds(), 0.1
    while True:
        close_connections()
        try:
            _record_late(claim, outcome)
        except Error:
            if elapsed() >= until:
                raise
        else:
            return outcome
        sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
