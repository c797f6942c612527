"""The base class of backends; a backend is the system whose workers make the calls."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured

from heliograph.databases.general import Database
from heliograph.deprecation import HeliographDeprecationWarning


class Backend(ABC):
    """A system whose workers make the calls. It is notified of deliveries, and the table remains the truth."""

    is_external: ClassVar[bool] = True  # whether its workers wait for messages, and do not look into the table
    options: ClassVar[Mapping[str, Any]] = {"NOTIFY_AGAIN_AFTER": 60.0}  # its options, with their defaults

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        self.alias = alias
        options = _with_new_names(alias, options)
        unknown = sorted({*options} - {*self.options})
        if unknown:
            raise ImproperlyConfigured(
                f"HELIOGRAPH_OUTBOX[{alias!r}]['OPTIONS'] has no {', '.join(map(repr, unknown))}:"
                f" {type(self).__name__} takes {', '.join(self.options) or 'none'}."
            )
        self.settings = {**self.options, **options}

    def is_notified(self, database: Database) -> bool:
        """Return whether `notify` is called after the commit of deliveries on a database."""
        return self.is_external

    def verify(self, queue: str) -> None:  # noqa: B027 - most can make what is in any queue
        """Raise ImproperlyConfigured if the backend could not be notified of deliveries of this queue."""

    @abstractmethod
    def notify(self, using: str, ids: Sequence[int], queue: str) -> None:
        """Send the workers the ids of deliveries on a database. An error is logged, and they are notified again."""


def _with_new_names(alias: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options under their present names; an old name is warned of."""
    if _OLD_NAME not in options:
        return options
    where = f"HELIOGRAPH_OUTBOX[{alias!r}]['OPTIONS']"
    text = f"{where}[{_OLD_NAME!r}] is now {_NAME!r}. Use that: Heliograph 1.0 removes the old name."
    warnings.warn(text, HeliographDeprecationWarning, stacklevel=2)
    return {_NAME if name == _OLD_NAME else name: value for name, value in options.items()}


_OLD_NAME, _NAME = "TELL_AGAIN_AFTER", "NOTIFY_AGAIN_AFTER"
