"""Observers: functions that are called with each event, in a block or in the whole process, and change nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from heliograph.dispatch.describe import full_name
from heliograph.dispatch.identity import is_async
from heliograph.dispatch.observed_events import OF_SENDS, ObservedEvent
from heliograph.dispatch.scopes import Scope, add_everywhere, open_scopes

logger = logging.getLogger("heliograph.observers")

E = TypeVar("E")

_observing: ContextVar[tuple[observe, ...]] = ContextVar("heliograph_observing", default=())  # at work here


class observe(Scope):
    """A context manager that calls a function with the events of this thread or task.

        with observe(events.append, Sent, Called):
            order.save()

    The kinds are classes of events, such as `Sent`; without any, the function gets all events. An error of the function
    is logged under "heliograph.observers" and counted in the attribute `errors`, and goes no further. Raises TypeError
    for a function that is async or not callable, and for a kind that is no class of events.
    """

    def __init__(self, observer: Callable[[E], object], *kinds: type[E]) -> None:
        _verify(observer, kinds)
        self.observer: Callable[[Any], object] = observer
        self.is_of_all = not kinds
        self.kinds = kinds or (ObservedEvent,)
        self.watches_sends = any(issubclass(event, self.kinds) for event in OF_SENDS)
        self.errors = 0

    def on_event(self, event: object) -> None:
        if not self.is_of_all and not isinstance(event, self.kinds):
            return
        at_work = _observing.get()
        if at_work and self in at_work:  # an observer that saves a row does not observe that
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
    """Call a function with the events of every thread and task, and return the function that ends this.

    `observe()` takes the same kinds. The returned function may be called more than once, and by any thread. A send
    that has begun calls the observer to its end. An error of the observer is logged under "heliograph.observers".
    Raises TypeError for a function that is async or not callable, and for a kind that is no class of events.
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
