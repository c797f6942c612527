"""The events of a test: what was sent, called, put off and skipped, in all threads and tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from django.db.models.signals import post_init, pre_init

from heliograph.dispatch import Called, PutOff, Sent, Skipped, add_observer
from heliograph.outbox.events import DeliveryEvent

E = TypeVar("E")


class KeptEvents:
    """Keeps the events of the whole process while it is open, as an observer."""

    def __init__(self) -> None:
        self._events: list[Any] = []
        self._remove: Callable[[], None] | None = None  # None until it is opened
        self._is_open = False

    def __enter__(self) -> Self:
        if self._is_open:
            raise RuntimeError("These Signals are open already: open others, with Signals() as inner.")
        self._is_open = True
        self._remove = add_observer(self._keep, Sent, Called, PutOff, Skipped, DeliveryEvent)
        return self

    def __exit__(self, *error: object) -> None:
        if self._remove is not None:
            self._remove()
        self._is_open = False

    def _keep(self, event: Any) -> None:
        # Each instance that is made is a send; to keep those that nobody receives would keep all instances.
        if not (isinstance(event, Sent) and event.signal in _OF_INSTANCES and not _is_received(event)):
            self._events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of a kind, in their order. Raises RuntimeError if it was never opened."""
        if self._remove is None:
            raise RuntimeError("These Signals were never opened, so they know of no send: with Signals() as signals.")
        return [event for event in self._events if isinstance(event, kind)]

    def calls_of(self, receiver: Callable[..., Any]) -> list[Called]:
        """Return the calls of a receiver, in the order in which they have ended."""
        return [one for one in self.of(Called) if one.receiver == receiver]


_OF_INSTANCES: tuple[Any, ...] = (pre_init, post_init)


def _is_received(sent: Sent) -> bool:
    return bool(sent.signal.has_listeners(sent.sender))
