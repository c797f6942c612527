"""The fields and the names of payloads whose values are never stored."""

from __future__ import annotations

from typing import Any

from heliograph.conf import setting
from heliograph.sensitive_names import is_among, plain, sensitive_among

# What signals of the catalogue carry that lives in one process.
OF_THE_PROCESS = frozenset(
    ("request", "environ", "connection", "template", "context", "apps", "plan", "app_config", "stdout", "queryset")
)


def is_sensitive(name: str) -> bool:
    """Return whether the settings say that a value with this name is never stored."""
    return name in sensitive_among((name,))


def is_secret(field: Any) -> bool:
    """Return whether the values of a field are never stored; a primary key is always stored, to find the row."""
    names = tuple(setting("SENSITIVE_FIELDS"))
    is_named = is_among(plain(field.name), names) or f"{field.model._meta.label}.{field.name}" in names
    return is_named and not field.primary_key
