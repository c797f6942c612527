"""The base class of backends with external workers, which are Celery and Django's tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured

from heliograph.outbox.notify.backend import Backend

_NO_QUEUES: Mapping[str, str | None] = {}


class ExternalBackend(Backend):
    """The workers of another system, which gets a message for each delivery, and has queues of its own.

    `QUEUES` has the system's name for a queue of ours, or None for the queue that the system takes by itself. A queue
    that is not mentioned has the same name there.
    """

    options: ClassVar[Mapping[str, Any]] = {**Backend.options, "QUEUES": _NO_QUEUES}
    usual_queues: ClassVar[Mapping[str, str | None]] = _NO_QUEUES  # what QUEUES has unless it says otherwise

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        super().__init__(alias, options)
        _verify_seconds(alias, self.settings["NOTIFY_AGAIN_AFTER"])
        _verify_queues(alias, self.settings["QUEUES"])
        self.queues: dict[str, str | None] = {**self.usual_queues, **self.settings["QUEUES"]}

    def queue_of(self, queue: str) -> str | None:
        """Return the system's name for a queue of ours; None for the queue that it takes by itself."""
        return self.queues.get(queue, queue)

    def notify(self, using: str, ids: Sequence[int], queue: str) -> None:
        self.notify_in(0.0, using, ids, queue)

    @abstractmethod
    def can_wait(self, seconds: float) -> bool:
        """Return whether the system is notified now of what is due in so many seconds, and waits by itself."""

    @abstractmethod
    def notify_in(self, seconds: float, using: str, ids: Sequence[int], queue: str) -> None:
        """Notify the workers of deliveries that they are to make in so many seconds."""


def _verify_seconds(alias: str, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ImproperlyConfigured(
            f"HELIOGRAPH_OUTBOX[{alias!r}]['OPTIONS']['NOTIFY_AGAIN_AFTER'] takes seconds, more than none, not"
            f" {seconds!r}."
        )


def _verify_queues(alias: str, queues: object) -> None:
    is_mapping = isinstance(queues, Mapping) and all(
        isinstance(ours, str) and (theirs is None or isinstance(theirs, str)) for ours, theirs in queues.items()
    )
    if not is_mapping:
        raise ImproperlyConfigured(
            f"HELIOGRAPH_OUTBOX[{alias!r}]['OPTIONS']['QUEUES'] takes a dict from names of queues to those of the"
            f" external workers, or to None, not {queues!r}."
        )
