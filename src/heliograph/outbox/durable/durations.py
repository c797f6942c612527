"""Times that options take: seconds, or a timedelta."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeGuard

Limit = timedelta | float | None

# What an attempt may be put off by, in seconds: databases have no dates much further in the future.
MOST = 10.0 * 365 * 24 * 3600


def seconds_of(limit: Limit) -> float | None:
    """Return a limit in seconds."""
    return limit.total_seconds() if isinstance(limit, timedelta) else limit


def is_number(value: object, least: float, most: float) -> TypeGuard[float]:
    """Return whether a value is a number in this range."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
