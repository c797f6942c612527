"""System checks of the settings."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from heliograph.conf import DEFAULTS


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each key of settings.HELIOGRAPH that does not exist."""
    return [_unknown(key) for key in getattr(settings, "HELIOGRAPH", {}) if key not in DEFAULTS]


def _unknown(key: Any) -> CheckMessage:
    close = get_close_matches(str(key), DEFAULTS, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(sorted(DEFAULTS))}."
    return Error(f"HELIOGRAPH has an unknown key {key!r}.", hint=hint, id="heliograph.E001")
