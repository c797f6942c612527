"""The fields and the names of payloads whose values are never stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from heliograph.conf import setting

# What signals of the catalogue carry that lives in one process.
OF_THE_PROCESS = frozenset(
    ("request", "environ", "connection", "template", "context", "apps", "plan", "app_config", "stdout", "queryset")
)


def is_sensitive(name: str) -> bool:
    """Return whether the settings say that a value with this name is never stored."""
    return name in sensitive_among((name,))


def sensitive_among(names: Collection[str]) -> frozenset[str]:
    """Return the names whose values are never stored, by one look at the settings: Django's are slow to say no."""
    return _sensitive_among(tuple(names), tuple(setting("SENSITIVE_FIELDS")))


@lru_cache(maxsize=1000)
def _sensitive_among(names: Sequence[str], sensitive: Sequence[str]) -> frozenset[str]:
    return frozenset(name for name in names if _is_among(_plain(name), sensitive))


def is_secret(field: Any) -> bool:
    """Return whether the values of a field are never stored; a primary key is always stored, to find the row."""
    names = tuple(setting("SENSITIVE_FIELDS"))
    is_named = _is_among(_plain(field.name), names) or f"{field.model._meta.label}.{field.name}" in names
    return is_named and not field.primary_key


@lru_cache(maxsize=1000)
def _is_among(name: str, names: Sequence[str]) -> bool:
    """Return whether a name is one of these, or ends with one: "token" also stands for "access_token"."""
    return name.endswith(tuple(f"_{one.lower()}" for one in names)) or name in {one.lower() for one in names}


def _plain(name: str) -> str:
    """Return a name in small letters, without digits at its end: forms have a password1 and a password2."""
    return name.lower().rstrip("0123456789")
