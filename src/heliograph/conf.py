"""The settings of Heliograph, read from Django's."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DEFAULTS: dict[str, Any] = {
    "ADOPT_DJANGO_SIGNALS": True,
    "AUDIT": {},
    "AUTODISCOVER": False,
    "CHECK_SOURCES": False,
    "COMMIT_IN_TESTS": True,
    "CORRELATION_ID_HEADER": "X-Correlation-ID",
    "REQUEST_ID_HEADER": "X-Request-ID",
    "REQUEST_ID_IN_RESPONSE": False,
    # What Django takes for sensitive in credentials, but for the plain words "api" and "key", which many fields have.
    "SENSITIVE_FIELDS": (
        *("password", "password_hash", "secret", "token", "signature"),
        *("api_key", "access_key", "private_key", "secret_key"),
    ),
}


def setting(name: str) -> Any:
    """Return the value of a key of settings.HELIOGRAPH, or its default."""
    given = getattr(settings, "HELIOGRAPH", {})
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"HELIOGRAPH must be a dict of settings, not {given!r}.")
    return given.get(name, DEFAULTS[name])
