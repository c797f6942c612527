"""The worker: a process that makes deliveries until it is to stop, and looks after the table meanwhile."""

from __future__ import annotations

import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from time import monotonic

from django.db import DEFAULT_DB_ALIAS, Error, connections

from heliograph.dispatch.observers import observing
from heliograph.outbox.charset import one_line
from heliograph.outbox.durable import registry
from heliograph.outbox.installed_tables import is_migrated, not_migrated
from heliograph.outbox.manage.performing import perform_waiting
from heliograph.outbox.manage.reporting import unknown_receivers
from heliograph.outbox.upkeep.chores import Chore, all_chores
from heliograph.outbox.upkeep.loop import Upkeep
from heliograph.outbox.work.recording import described
from heliograph.outbox.work.runner import Runner, giving_up
from heliograph.outbox.work.thread_connections import close_connections, leave_pool
from heliograph.outbox.work.waking import waker_for

logger = logging.getLogger("heliograph.outbox")

# How often, in seconds, the worker looks whether it has received a signal of the system.
_PAUSE = 0.1

# How long, in seconds, a claimed delivery may wait behind a slow one before it is given back to others.
_PATIENCE = 1.0


# How long, in seconds, a worker waits for `migrate`, which may have started at the same time. A supervisor that starts
# the worker again sees an error then, and not an error each second, after which systemd would give up.
_MIGRATION = 300.0


class NotMigratedError(Exception):
    """The database of the worker has not been migrated."""


class DeadThreadError(Exception):
    """A thread of the worker has died, and the worker has ended because of it."""


class Worker:
    """Has a runner for each thread that makes deliveries, and one more thread for the upkeep of the table."""

    def __init__(
        self,
        using: str = DEFAULT_DB_ALIAS,
        queues: Collection[str] | None = None,
        concurrency: int = 1,
        grace: float = 30.0,
    ) -> None:
        self.using = using
        self.queues = queues
        self.grace = grace
        self._runners = [Runner(using, queues) for _ in range(concurrency)]
        self._stop = threading.Event()
        self._waker = waker_for(using, self._stop)
        self._received: deque[int] = deque()  # signals of the system that are not obeyed yet
        self._died: list[str] = []  # a sentence about each thread that has died

    def stop(self) -> None:
        """Let the worker end: what runs may finish within the grace, the rest is given back."""
        if self._stop.is_set():
            self.grace = 0.0  # whoever asks a second time does not want to wait
        self._stop.set()
        self._waker.wake()

    def run(self, *, drain: bool = False) -> None:
        """Make deliveries until `stop()`; with `drain`, until none is due.

        Raises NotMigratedError for a database that has no tables, with `drain` at once and else after some minutes;
        DeadThreadError if a thread has died, after the others have finished what they had begun.
        """
        names = ", ".join(runner.name for runner in self._runners)
        with _receiving_signals(self._received):
            self._await_tables(0.0 if drain else _MIGRATION)
            logger.info("Worker started on %r: %s", self.using, names)
            self._introduce()
            if drain:
                _tried(partial(perform_waiting, self.using))  # the upkeep may have no time for it
            else:
                self._waker.start()
            threads = [self._started(runner.name, partial(self._make, runner, drain=drain)) for runner in self._runners]
            upkeep = self._started("heliograph-upkeep", self._look_after)
            self._watch(threads)
            self._end([*threads, upkeep])
        logger.info("Worker stopped: %s", names)
        self._report_dead_threads()

    def _report_dead_threads(self) -> None:
        """Raise DeadThreadError if a thread has died."""
        if self._died:
            raise DeadThreadError(
                f"The worker has ended because {' and '.join(self._died)}. The log has the traceback."
                " What the thread had claimed is given back: start the worker again."
            )

    def _await_tables(self, seconds: float) -> None:
        """Wait for a database that does not answer, and so many seconds for one that is not migrated."""
        until, said = monotonic() + seconds, None
        while not self._stop.is_set() and (problem := _problem_of(self.using)):
            if problem != not_migrated(self.using):
                until = monotonic() + seconds
            elif monotonic() >= until:
                raise NotMigratedError(problem)
            if problem != said:
                logger.error("%s The worker waits", problem)
                said = problem
            self._stop.wait(_PAUSE * 5)
            self._obey()
        connections[self.using].close()

    def _introduce(self) -> None:
        """Log how many receivers the worker knows, which names in the table it does not know, and its observers."""
        level = logging.INFO if (count := len(registry.known())) else logging.WARNING
        logger.log(level, "The worker knows %d durable %s", count, "receiver" if count == 1 else "receivers")
        logger.info("Observers of the worker: %s", ", ".join(observing()) or "none")
        _tried(partial(_say_unknown, self.using, self.queues))

    def _watch(self, threads: Collection[threading.Thread]) -> None:
        """Wait until somebody stops the worker, or its threads have nothing more to do."""
        while not self._stop.is_set() and any(thread.is_alive() for thread in threads):
            self._stop.wait(_PAUSE)
            self._obey()
        self._stop.set()

    def _obey(self) -> None:
        while self._received:
            self._received.popleft()
            self.stop()

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for the deliveries that run, and give them back when the grace is over."""
        until = monotonic() + self.grace
        for thread in threads:
            while thread.is_alive() and monotonic() < until:
                thread.join(_PAUSE)
                self._obey()
                until = min(until, monotonic() + self.grace)
        for runner, thread in zip(self._runners, threads, strict=False):  # the last thread is the upkeep
            if thread.is_alive():
                logger.warning("%s is still at work after the grace, and gives it back", runner.name)
                _tried(runner.abandon)
        close_connections()

    # --- the threads ------------------------------------------------------------------------------------------

    def _started(self, name: str, function: Callable[[], None]) -> threading.Thread:
        """Return a new thread of this worker, which has the observers of the worker."""
        thread = threading.Thread(target=copy_context().run, args=[self._do, function], name=name)
        thread.daemon = True  # a receiver that runs on after the grace ends with the process
        thread.start()
        return thread

    def _do(self, function: Callable[[], None]) -> None:
        try:
            leave_pool(self.using)
            function()
        except BaseException as error:
            name = threading.current_thread().name
            self._died.append(f"its thread {name} has died of {described(error)}")
            self._stop.set()  # without the thread it would do less and less, and nobody would know
            self._waker.wake()
            logger.critical("The thread %s has died, and so the worker ends", name, exc_info=error)
        finally:
            close_connections()

    def _make(self, runner: Runner, *, drain: bool) -> None:
        idle = failures = 0
        with runner.kept(), giving_up(runner):
            while not self._stop.is_set() and not (drain and idle):
                try:
                    idle = self._make_or_wait(runner, idle, drain=drain)
                    failures = 0
                except Exception:
                    failures += 1
                    self._pause(runner, failures)
            _tried(runner.finish)

    def _make_or_wait(self, runner: Runner, idle: int, *, drain: bool) -> int:
        """Make what is due, or wait; return how often in a row there was nothing to make, and no wake-up."""
        mark = self._waker.mark()
        is_busy = False
        for _ in runner.outcomes():
            is_busy = True
            if self._stop.is_set():
                break
        is_woken = not is_busy and not drain and self._waker.wait(mark, idle)
        return 0 if is_busy or is_woken else idle + 1

    def _pause(self, runner: Runner, failures: int) -> None:
        """Wait for a database that does not answer, longer each time."""
        seconds = min(0.1 * 2**failures, 5.0)
        is_first = failures == 1  # the next ones have the same traceback
        text = "%s cannot go on with the database %r; next try in %.1f s"
        logger.error(text, runner.name, self.using, seconds, exc_info=is_first)
        close_connections()
        self._stop.wait(seconds)

    def _look_after(self) -> None:
        """Do the chores of the table, and one of this worker."""
        upkeep = Upkeep((Chore("hand back", self._hand_back_waiting, lambda: _PATIENCE), *all_chores()))
        while not self._stop.is_set():
            upkeep.do_due([self.using])
            self._stop.wait(_PATIENCE / 4)

    def _hand_back_waiting(self, using: str) -> None:
        for runner in self._runners:
            runner.hand_back_waiting(_PATIENCE)


def _problem_of(using: str) -> str | None:
    """Return a sentence about why the worker cannot use a database; None if it can."""
    try:
        return None if is_migrated(using) else not_migrated(using)
    except Error as error:
        connections[using].close()
        return f"The database {using!r} does not answer ({described(error)})."


def _say_unknown(using: str, queues: Collection[str] | None) -> None:
    """Warn of deliveries that wait for receivers which are not connected in this process."""
    try:
        waiting = unknown_receivers(using, queues)
    finally:
        connections[using].close()
    if waiting:
        names = ", ".join(f"{name} ({count:,})" for name, count in sorted(waiting.items()))
        logger.warning("Deliveries wait for receivers that are not connected in this worker: %s", one_line(names))


def _tried(function: Callable[[], object]) -> None:
    """Call a function; after an error, which is logged, the next use of the database opens a new connection."""
    try:
        function()
    except Exception:
        logger.exception("The worker could not do %r", function)
        close_connections()


@contextmanager
def _receiving_signals(received: deque[int]) -> Iterator[None]:
    """Keep SIGTERM and SIGINT in a queue; Python lets the main thread alone have handlers.

    A handler does nothing else: it may have interrupted that thread where it has a lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGTERM, signal.SIGINT)
