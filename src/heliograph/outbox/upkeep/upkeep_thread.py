"""Tending: a thread that looks after the tables in a process of workers that are not ours."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from time import monotonic

from heliograph.outbox.manage.operations import prune
from heliograph.outbox.manage.performing import perform_waiting
from heliograph.outbox.upkeep.rescuing import rescue
from heliograph.outbox.upkeep.sweeping import databases, sweep, tell_again_after, told_backends
from heliograph.outbox.work.thread_connections import close_connections, leave_pool

logger = logging.getLogger("heliograph.outbox")

# How many seconds there are from one look at the tables to the next, at most, and from one pruning to the next.
_PAUSE = 5.0
_PRUNING = 60.0


def _perform_some(using: str) -> None:
    perform_waiting(using, seconds=2.0)


_CHORES: tuple[Callable[[str], object], ...] = (rescue, sweep, _perform_some)

# Held while a tender is at work: a process that was forked then had its locks for ever, SQLite's among them, and its
# connections. Celery forks when one of its processes has died, or has done its share.
at_work = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=at_work.acquire, after_in_parent=at_work.release, after_in_child=at_work.release)


class UpkeepThread:
    """Rescues, sweeps and prunes from time to time, on each database, if there are backends to tell."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._errors: dict[str, str] = {}

    def start(self) -> None:
        """Start the thread, unless it runs already or nobody is to be told."""
        if self._thread is None and told_backends():
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="heliograph-tender", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End it, and wait for what it does, but not for a database or a broker that does not answer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PAUSE)
            self._thread = None

    def _run(self) -> None:
        pause = min(_PAUSE, *(tell_again_after(alias) / 4 for alias in told_backends()))
        pruned = -_PRUNING
        while not self._stop.wait(pause):
            chores = _CHORES
            if monotonic() >= pruned + _PRUNING:
                chores, pruned = (*_CHORES, prune), monotonic()
            with at_work:
                self._look_after(chores)

    def _look_after(self, chores: Iterable[Callable[[str], object]]) -> None:
        for using in databases():
            leave_pool(using)
        for using, chore in product(databases(), chores):
            self._try(f"{chore.__name__} {using!r}", partial(chore, using))
        close_connections()

    def _try(self, name: str, function: Callable[[], object]) -> None:
        """Do something; an error is logged once: a database may be away for long, or have no such table."""
        try:
            function()
            self._errors.pop(name, None)
        except Exception as error:
            if self._errors.get(name) != str(error):
                logger.warning("The deliveries cannot be looked after: %s failed (%s)", name, error, exc_info=error)
            self._errors[name] = str(error)
