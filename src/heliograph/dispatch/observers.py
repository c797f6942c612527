"""Observers: functions that are called with each event, in a block or in the whole process, and change nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from heliograph.dispatch.describe import full_name
from heliograph.dispatch.identity import is_async
from heliograph.dispatch.observed_events import Called, ObservedEvent, Sent
from heliograph.dispatch.scopes import Scope, add_everywhere, open_scopes

logger = logging.getLogger("heliograph.observers")

E = TypeVar("E")

_observing: ContextVar[tuple[observe, ...]] = ContextVar("heliograph_observing", default=())  # at work here


class observe(Scope):
    """Call a function with the events of this thread or task: of the given kinds, or of all.

    What the function raises is logged and counted in `errors`, and goes no further.
    """

    def __init__(self, observer: Callable[[E], object], *kinds: type[E]) -> None:
        _verify(observer, kinds)
        self.observer: Callable[[Any], object] = observer
        self.kinds = kinds or (ObservedEvent,)
        self.watches_sends = any(issubclass(event, self.kinds) for event in (Sent, Called))
        self.errors = 0

    def on_event(self, event: object) -> None:
        at_work = _observing.get()
        if not isinstance(event, self.kinds) or self in at_work:  # an observer that saves a row does not observe that
            return
        token = _observing.set((*at_work, self))
        try:
            self.observer(event)
        except Exception:
            self.errors += 1
            logger.exception("Observer %s failed on a %s event", full_name(self.observer), type(event).__name__)
        finally:
            _observing.reset(token)

    def __str__(self) -> str:
        kinds = ", ".join(kind.__name__ for kind in self.kinds if kind is not ObservedEvent)
        return f"{full_name(self.observer)} ({kinds})" if kinds else full_name(self.observer)


def add_observer(observer: Callable[[E], object], *kinds: type[E]) -> Callable[[], None]:
    """Call a function with the events of every thread and task: of the given kinds, or of all.

    Return the function that removes the observer; to call it again does nothing. A send that has begun calls
    the observer to its end.
    """
    return add_everywhere(observe(observer, *kinds))


def observing() -> list[str]:
    """Return the names of the observers of this thread or task."""
    return [str(scope) for scope in open_scopes() if isinstance(scope, observe)]


def _verify(observer: Any, kinds: Sequence[Any]) -> None:
    if not callable(observer):
        raise TypeError(f"An observer is a function of an event, not {observer!r}.")
    if is_async(observer):
        raise TypeError(
            f"The observer {full_name(observer)} is async, and nobody would await it:"
            " make it a plain function, which a send can call."
        )
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, ObservedEvent)):
            raise TypeError(f"An observer observes kinds of events, as Sent and Called are, not of {kind!r}.")
