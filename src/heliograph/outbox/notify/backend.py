"""What a backend is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured


class Backend(ABC):
    """Whose workers make the calls; it is told of deliveries, and the table remains the truth."""

    is_told: ClassVar[bool] = True  # whether its workers are told, and do not look into the table themselves
    options: ClassVar[Mapping[str, Any]] = {"TELL_AGAIN_AFTER": 60.0}  # its options, with their defaults

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        self.alias = alias
        unknown = sorted({*options} - {*self.options})
        if unknown:
            raise ImproperlyConfigured(
                f"HELIOGRAPH_OUTBOX[{alias!r}]['OPTIONS'] has no {', '.join(map(repr, unknown))}:"
                f" {type(self).__name__} takes {', '.join(self.options) or 'none'}."
            )
        self.settings = {**self.options, **options}

    def is_notified(self, using: str) -> bool:
        """Return whether `tell` is called after the commit of deliveries on a database."""
        return self.is_told

    def verify(self, queue: str) -> None:  # noqa: B027 - most can make what is in any queue
        """Raise ImproperlyConfigured if deliveries of this queue could not be told."""

    @abstractmethod
    def tell(self, using: str, ids: Sequence[int], queue: str) -> None:
        """Let workers know of deliveries on a database. What it raises is logged, and they are told again later."""
