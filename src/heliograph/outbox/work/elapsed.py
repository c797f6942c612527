"""Elapsed time in seconds, which includes the time for which the machine was asleep."""

from __future__ import annotations

import time

# `time.monotonic()` stands still while Linux is suspended, and leases of the database do not.
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def elapsed() -> float:
    """Return the seconds since a fixed time in the past; only differences mean something."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)
