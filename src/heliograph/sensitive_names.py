"""The names whose values are never stored, as the settings have them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from heliograph.conf import setting


def sensitive_among(names: Collection[str]) -> frozenset[str]:
    """Return the names whose values are never stored, by one look at the settings: Django's are slow to say no."""
    return _sensitive_among(tuple(names), tuple(setting("SENSITIVE_FIELDS")))


@lru_cache(maxsize=1000)
def _sensitive_among(names: Sequence[str], sensitive: Sequence[str]) -> frozenset[str]:
    return frozenset(name for name in names if is_among(plain(name), sensitive))


@lru_cache(maxsize=1000)
def is_among(name: str, names: Sequence[str]) -> bool:
    """Return whether a name is one of these, or ends with one: "token" also stands for "access_token"."""
    return name.endswith(tuple(f"_{one.lower()}" for one in names)) or name in {one.lower() for one in names}


def plain(name: str) -> str:
    """Return a name in small letters, without digits at its end: forms have a password1 and a password2."""
    return name.lower().rstrip("0123456789")
