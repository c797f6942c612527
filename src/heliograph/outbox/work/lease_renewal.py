"""Keeping: a thread of the process that renews the leases of what its workers have claimed."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.outbox.conf import settings_of
from heliograph.outbox.work.claiming import keep
from heliograph.outbox.work.elapsed import elapsed
from heliograph.outbox.work.thread_connections import close_connections, leave_pool

logger = logging.getLogger("heliograph.outbox")


class Keeper:
    """Renews the leases of workers, by their names and databases, for as long as there are any."""

    def __init__(self) -> None:
        self._kept: Counter[tuple[str, str]] = Counter()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_connected = False  # whether the thread may have connections

    @contextmanager
    def keeping(self, using: str, worker: str) -> Iterator[None]:
        """Renew the leases of a worker for the time of the block."""
        with self._changed:
            self._kept[using, worker] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heliograph-keeper", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._kept -= Counter({(using, worker): 1})
                if not self._kept and self._is_connected:
                    self._changed.notify()

    def _run(self) -> None:
        """Renew leases, thrice in the time of one.

        A thread that has nothing to keep closes its connections at once, since a database that somebody is connected to
        cannot be dropped, as after tests; when it has had nothing to keep for long, it ends.
        """
        lease = settings_of("default").lease.total_seconds()
        while self._thread is threading.current_thread():
            began = elapsed()
            kept = self._kept_after(lease / 3)
            _warn_if_late(elapsed() - began, lease)
            for using in {using for using, _ in kept}:
                _renew(using, [worker for alias, worker in kept if alias == using])
            if not kept:
                close_connections()

    def _kept_after(self, seconds: float) -> list[tuple[str, str]]:
        """Return what is to be kept after so many seconds, or earlier if that is nothing any more."""
        with self._changed:
            if self._kept or not self._is_connected:
                self._changed.wait(seconds)
            if not self._kept and not self._is_connected:
                self._thread = None
            self._is_connected = bool(self._kept)
            return [*self._kept]


def _warn_if_late(seconds: float, lease: float) -> None:
    """Warn of a pause that was longer than a lease, and say what to do: others may make again what runs here."""
    if seconds > lease:
        logger.warning(
            "The process stood still for %.1f s, longer than its leases of %.1f s: others may make again what it had."
            " It was stopped, or a call into C code has held the GIL: set LEASE of HELIOGRAPH_OUTBOX to more.",
            *(seconds, lease),
        )


def _renew(using: str, workers: list[str]) -> None:
    try:
        leave_pool(using)
        keep(using, workers)
    except Exception as error:  # the database may be back before the leases end
        logger.warning("The leases of %s could not be renewed on %r: %s", ", ".join(workers), using, error)
        close_connections()


keeper = Keeper()


def _anew() -> None:
    """Begin without a thread in a process that was forked: threads stay behind."""
    keeper.__init__()  # type: ignore[misc]  # the one object that everybody has imported


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)
