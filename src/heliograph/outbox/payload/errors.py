"""The errors of a payload: a value cannot be stored, or cannot be read, or its row is gone."""

from __future__ import annotations

from typing import Any, Self


class UnstorableError(TypeError):
    """A value cannot be stored; the message says which, and why."""


class UnsavedError(UnstorableError):
    """An instance cannot be stored, since it has no row yet."""


class UnreadableError(ValueError):
    """This release cannot read what is stored: a newer one has written it, a name in it is gone, or it is damaged."""


class MissingError(LookupError):
    """An instance that was sent is gone, or all instances of a batch are gone."""

    @classmethod
    def of(cls, model: Any, key: Any, using: str) -> Self:
        """Return the error for one instance."""
        return cls(f"{model._meta.label} {key!r} is gone from the database {using!r}")
