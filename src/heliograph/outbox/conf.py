"""The settings of the outbox, read from Django's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DATABASE_BACKEND = "heliograph.outbox.backends.database.DatabaseBackend"
KEYS = ("BACKEND", "OPTIONS", "KEEP", "LEASE")


@dataclass(frozen=True)
class BackendSettings:
    """The settings of one backend."""

    alias: str
    backend: str = DATABASE_BACKEND  # the path of its class
    options: Mapping[str, Any] = field(default_factory=dict)
    keep: timedelta | None = timedelta(days=7)  # how long a finished delivery is kept, None for ever
    lease: timedelta = timedelta(seconds=60)  # how long after its last sign a worker counts as lost


def all_settings() -> dict[str, BackendSettings]:
    """Return the settings of each backend, by alias; there is always a "default"."""
    given = getattr(settings, "HELIOGRAPH_OUTBOX", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"HELIOGRAPH_OUTBOX must be a dict of backends, not {given!r}.")
    return {alias: _of_alias(alias, given.get(alias, {})) for alias in ("default", *given)}


def settings_of(alias: str) -> BackendSettings:
    """Return the settings of a backend; ImproperlyConfigured if there is no such alias."""
    found = all_settings().get(alias)
    if found is None:
        raise ImproperlyConfigured(
            f"HELIOGRAPH_OUTBOX has no backend {alias!r}, which Durable(backend={alias!r}) names:"
            f" it has {', '.join(map(repr, all_settings()))}."
        )
    return found


def _of_alias(alias: str, given: Any) -> BackendSettings:
    unknown = sorted({*given} - {*KEYS}) if isinstance(given, Mapping) else [given]
    if unknown:
        raise ImproperlyConfigured(
            f"HELIOGRAPH_OUTBOX[{alias!r}] has no {', '.join(map(repr, unknown))}: it takes {', '.join(KEYS)}."
        )
    for key in ("KEEP", "LEASE"):
        value = given.get(key)
        is_duration = isinstance(value, timedelta) and value > timedelta(0)
        if key in given and not is_duration and not (key == "KEEP" and value is None):
            raise ImproperlyConfigured(
                f"HELIOGRAPH_OUTBOX[{alias!r}][{key!r}] takes a timedelta of more than nothing, not {value!r}."
            )
    if "LEASE" in given and alias != "default":
        raise ImproperlyConfigured(
            f"HELIOGRAPH_OUTBOX[{alias!r}] has a LEASE, and there is one for all: set it for 'default'."
        )
    return BackendSettings(alias, **{key.lower(): value for key, value in given.items()})
