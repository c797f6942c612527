"""The backends of the settings, by their aliases."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from heliograph.outbox.conf import settings_of
from heliograph.outbox.notify.backend import Backend

# The backends that were made, by alias, each with the settings that it was made from: tests override these.
_made: dict[str, tuple[Any, Backend]] = {}


def backend_of(alias: str) -> Backend:
    """Return the backend with this alias in the settings; ImproperlyConfigured or ImportError if there is none."""
    given = getattr(settings, "HELIOGRAPH_OUTBOX", None)
    made = _made.get(alias)
    if made is None or made[0] is not given:
        found = settings_of(alias)
        made = _made[alias] = (given, import_string(found.backend)(alias, found.options))
    return made[1]
