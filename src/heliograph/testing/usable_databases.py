"""The databases that the running test may use."""

from __future__ import annotations

from django.db import connections
from django.test.testcases import _DatabaseFailure


def usable_databases() -> list[str]:
    """Return the aliases of all databases, without mirrors, and without the databases that a `TestCase` forbids."""
    return [alias for alias in connections if not _is_mirror(alias) and not _is_forbidden(alias)]


def _is_mirror(alias: str) -> bool:
    return bool(connections[alias].settings_dict.get("TEST", {}).get("MIRROR"))


def _is_forbidden(alias: str) -> bool:
    return isinstance(connections[alias].cursor, _DatabaseFailure)
