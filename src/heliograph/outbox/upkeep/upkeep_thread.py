"""A thread that looks after the tables in a process of external workers, such as Celery."""

from __future__ import annotations

import os
import threading

from heliograph.outbox.upkeep.loop import Upkeep
from heliograph.outbox.upkeep.sweeping import databases, external_backends, shortest_pause
from heliograph.outbox.work.thread_connections import close_connections, leave_pool

# The seconds from one look at the tables to the next, at most. The thread opens its connections for each look.
_PAUSE = 5.0

# Held during a look at the tables. A process that is forked then would have its connections, and its locks for ever,
# also the locks of SQLite. Celery forks when one of its processes has died, or has done its share.
at_work = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=at_work.acquire, after_in_parent=at_work.release, after_in_child=at_work.release)


class UpkeepThread:
    """Does the chores that are due on each database, if there are backends to notify."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs already or no backend is to be notified."""
        if self._thread is None and external_backends():
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="heliograph-upkeep", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after what it does, without waiting for a database or a broker that does not answer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PAUSE)
            self._thread = None

    def _run(self) -> None:
        upkeep = Upkeep()
        while not self._stop.wait(shortest_pause(_PAUSE)):
            with at_work:
                _look_after(upkeep)


def _look_after(upkeep: Upkeep) -> None:
    for using in databases():
        leave_pool(using)
    upkeep.do_due(databases())
    close_connections()
