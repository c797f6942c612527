"""A thread that renews the leases of the deliveries that the workers of this process have claimed."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.outbox.conf import settings_of
from heliograph.outbox.work.claiming import renew_leases
from heliograph.outbox.work.elapsed import elapsed
from heliograph.outbox.work.thread_connections import close_connections, leave_pool

logger = logging.getLogger("heliograph.outbox")


class LeaseRenewal:
    """Renews the leases of workers for as long as there are any."""

    def __init__(self) -> None:
        self._workers: Counter[tuple[str, str]] = Counter()  # with their databases
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_connected = False  # whether the thread may have connections

    @contextmanager
    def renewing(self, using: str, worker: str) -> Iterator[None]:
        """Renew the leases of a worker for the time of the block."""
        with self._changed:
            self._workers[using, worker] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heliograph-leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._workers -= Counter({(using, worker): 1})
                if not self._workers and self._is_connected:
                    self._changed.notify()

    def _run(self) -> None:
        """Renew leases, three times in the length of a lease.

        Without a worker, the thread closes its connections at once, since a database with connections cannot be
        dropped, as after tests. If there is no worker for a third of a lease, the thread ends.
        """
        lease = settings_of("default").lease.total_seconds()
        while self._thread is threading.current_thread():
            began = elapsed()
            workers = self._workers_after(lease / 3)
            _warn_if_late(elapsed() - began, lease)
            for using in {using for using, _ in workers}:
                _renew(using, [worker for alias, worker in workers if alias == using])
            if not workers:
                close_connections()

    def _workers_after(self, seconds: float) -> list[tuple[str, str]]:
        """Return the workers after so many seconds, or as soon as there are none."""
        with self._changed:
            if self._workers or not self._is_connected:
                self._changed.wait(seconds)
            if not self._workers and not self._is_connected:
                self._thread = None
            self._is_connected = bool(self._workers)
            return [*self._workers]


def _warn_if_late(seconds: float, lease: float) -> None:
    """Warn if the process stood still for longer than a lease, so that others may have taken its deliveries."""
    if seconds > lease:
        logger.warning(
            "The process stood still for %.1f s, longer than its leases of %.1f s: others may make again what it had."
            " It was stopped, or a call into C code has held the GIL: set LEASE of HELIOGRAPH_OUTBOX to more.",
            *(seconds, lease),
        )


def _renew(using: str, workers: list[str]) -> None:
    try:
        leave_pool(using)
        renew_leases(using, workers)
    except Exception as error:  # it is tried again, perhaps before the leases end
        logger.warning("The leases of %s could not be renewed on %r: %s", ", ".join(workers), using, error)
        close_connections()


lease_renewal = LeaseRenewal()


def _anew() -> None:
    """Begin without a thread in a process that was forked: it has no threads of its parent."""
    lease_renewal.__init__()  # type: ignore[misc]  # other modules have imported this object


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)
