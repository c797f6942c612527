"""How an idle worker learns that there may be deliveries to make."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from typing import Any

from django.db import connections

from heliograph.databases import database_of
from heliograph.outbox.statements import CHANNEL
from heliograph.outbox.work.thread_connections import close_connections, leave_pool

logger = logging.getLogger("heliograph.outbox")

# How long a worker waits at most, in seconds: then retries may be due, and notices may be lost.
LONGEST = 1.0


class Waker(ABC):
    """Lets the runners of a process wait; `stop` ends all waiting."""

    def __init__(self, using: str, stop: threading.Event) -> None:
        self.using = using
        self.stop = stop

    def start(self) -> None:  # noqa: B027 - only one of them has something to listen to
        """Begin to listen, where there is something to listen to."""

    def wake(self) -> None:  # noqa: B027 - the others wait for `stop` itself
        """Let those who wait look again."""

    @abstractmethod
    def mark(self) -> Any:
        """Return a mark of what has happened so far; take it before you look at the table, and give it to `wait`."""

    @abstractmethod
    def wait(self, mark: Any, idle: int) -> bool:
        """Wait until something has happened since a mark, or for a time; return whether something has.

        `idle` is how often in a row the table was looked at for nothing.
        """


class Polling(Waker):
    """Looks at the table again, after a time that grows while nothing is there."""

    def mark(self) -> None:
        return None

    def wait(self, mark: None, idle: int) -> bool:
        self.stop.wait(_growing(0.02, idle))
        return False


def _growing(first: float, idle: int) -> float:
    """Return a number of seconds that grows with each look for nothing, up to LONGEST."""
    return min(first * 1.5 ** min(idle, 20), LONGEST)


class WatchingWrites(Waker):
    """Asks the database again and again whether another connection has written, where that is cheap (SQLite)."""

    def mark(self) -> int:
        return database_of(connections[self.using]).count_of_writes(connections[self.using])

    def wait(self, mark: int, idle: int) -> bool:
        return any(self.stop.wait(_GLANCE) or self.mark() != mark for _ in range(int(LONGEST / _GLANCE)))


_GLANCE = 0.025  # seconds


class Listening(Waker):
    """Listens to the notices that processes send after they have written deliveries (PostgreSQL).

    A process that has just sent a notice sends none, so a worker that was woken looks again, after a time that grows.
    """

    def __init__(self, using: str, stop: threading.Event) -> None:
        super().__init__(using, stop)
        self._received = 0
        self._is_listening = False
        self._changed = threading.Condition()

    def start(self) -> None:
        threading.Thread(target=self._run, name="heliograph-listener", daemon=True).start()

    def wake(self) -> None:
        with self._changed:
            self._received += 1
            self._changed.notify_all()

    def mark(self) -> int:
        return self._received

    def wait(self, mark: int, idle: int) -> bool:
        # While the thread does not listen, the workers look at the table more often.
        seconds = min(_growing(0.005, idle), LONGEST if self._is_listening else LONGEST / 5)
        with self._changed:
            return self._changed.wait_for(lambda: self._received != mark, seconds)

    def _run(self) -> None:
        while not self.stop.is_set():
            try:
                self._listen()
            except Exception as error:
                logger.warning("No notices of %r: %s; looking at the table instead", self.using, error)
                close_connections()
            self._is_listening = False
            self.stop.wait(LONGEST)
        close_connections()

    def _listen(self) -> None:
        leave_pool(self.using)
        connection = connections[self.using]
        database = database_of(connection)
        database.listen(connection, CHANNEL)
        self._is_listening = True
        self.wake()  # for deliveries that were written before this
        while not self.stop.is_set():
            if database.wait_for_notice(connection, LONGEST):
                self.wake()


def waker_for(using: str, stop: threading.Event) -> Waker:
    """Return what lets the runners of a database wait."""
    database = database_of(connections[using])
    if database.has_notices:
        return Listening(using, stop)
    return WatchingWrites(using, stop) if database.counts_writes else Polling(using, stop)
