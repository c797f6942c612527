"""Observers: they are told of sends, calls and other events, in a block or in the whole process, and change nothing."""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from heliograph.dispatch.connections import is_async
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.observed_events import Called, ObservedEvent, Sent
from heliograph.dispatch.scopes import Scope, add_everywhere, open_scopes, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.dispatch.connections import Receiver
    from heliograph.dispatch.signal import Signal

logger = logging.getLogger("heliograph.observers")

E = TypeVar("E")

_numbers = itertools.count(1)
_inside: ContextVar[int | None] = ContextVar("heliograph_inside", default=None)
_telling: ContextVar[tuple[observe, ...]] = ContextVar("heliograph_telling", default=())  # the observers at work here


class observe(Scope):
    """Tell a function of events in this thread or task: of the given kinds, or of all.

    What the function raises is logged and counted in `errors`, and goes no further.
    """

    def __init__(self, observer: Callable[[E], object], *kinds: type[E]) -> None:
        _verify(observer, kinds)
        self.observer: Callable[[Any], object] = observer
        self.kinds = kinds or (ObservedEvent,)
        self.watches_sends = any(issubclass(event, self.kinds) for event in (Sent, Called))
        self.errors = 0

    def tell(self, event: object) -> None:
        telling = _telling.get()
        if not isinstance(event, self.kinds) or self in telling:  # an observer that saves a row is not told of that
            return
        token = _telling.set((*telling, self))
        try:
            self.observer(event)
        except Exception:
            self.errors += 1
            logger.exception("Observer %s failed on a %s event", full_name(self.observer), type(event).__name__)
        finally:
            _telling.reset(token)

    def __str__(self) -> str:
        kinds = ", ".join(kind.__name__ for kind in self.kinds if kind is not ObservedEvent)
        return f"{full_name(self.observer)} ({kinds})" if kinds else full_name(self.observer)


def add_observer(observer: Callable[[E], object], *kinds: type[E]) -> Callable[[], None]:
    """Tell a function of events in every thread and task: of the given kinds, or of all.

    Return the function that removes the observer; to call it again does nothing. A send that has begun tells the
    observer to its end.
    """
    return add_everywhere(observe(observer, *kinds))


def observing() -> list[str]:
    """Return the names of the observers that are told of what happens in this thread or task."""
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
            raise TypeError(f"An observer is told of kinds of events, as Sent and Called are, not of {kind!r}.")


class trace(Scope):
    """Keep the events of this thread or task; printed, it is the tree of sends and receivers with their times."""

    def __init__(self) -> None:
        self.events: list[Sent | Called] = []

    def tell(self, event: object) -> None:
        if isinstance(event, Sent | Called):
            self.events.append(event)

    def __str__(self) -> str:
        children: defaultdict[int | None, list[Sent | Called]] = defaultdict(list)
        known = {event.number for event in self.events}
        for event in sorted(self.events, key=lambda event: event.number):
            children[event.parent if event.parent in known else None].append(event)
        return "\n".join(_branch(children, None, 0)) or "No signal was sent."


def _branch(children: Mapping[int | None, list[Sent | Called]], parent: int | None, depth: int) -> Iterator[str]:
    for event in children.get(parent, ()):
        yield "  " * depth + _line(event)
        yield from _branch(children, event.number, depth + 1)


def _line(event: Sent | Called) -> str:
    if isinstance(event, Sent):
        signal = getattr(event.signal, "name", event.signal)  # one that another dispatcher runs has none
        return f"{signal} from {getattr(event.sender, '__qualname__', repr(event.sender))}"
    outcome = f", raised {event.outcome!r}" if isinstance(event.outcome, BaseException) else ""
    return f"{full_name(event.receiver)} {event.seconds * 1000:.2f} ms{outcome}"


def announce(scopes: tuple[Scope, ...], signal: Signal[...], sender: Any, kwargs: dict[str, Any]) -> int:
    """Tell the scopes of a send that begins, and return its number."""
    sent = Sent(signal, sender, kwargs, next(_numbers), _inside.get())
    tell(scopes, sent)
    return sent.number


def noted_in() -> int | None:
    """Return the number of the send that a call is noted in, or None while nobody watches."""
    return _inside.get() if watch else None


@contextmanager
def inside_send(number: int) -> Iterator[None]:
    """Let calls that are only noted know the number of their send."""
    outer = _inside.set(number)
    try:
        yield
    finally:
        _inside.reset(outer)


@contextmanager
def inside_kept() -> Iterator[None]:
    """Put back which call the sender is in: async receivers share its context, and leave it in any order."""
    outer = _inside.get()
    try:
        yield
    finally:
        _inside.set(outer)


@contextmanager
def observed(
    scopes: tuple[Scope, ...], signal: Signal[...], sender: Any, receiver: Receiver, send: int | None
) -> Iterator[list[Any]]:
    """Tell the scopes of a call once it has ended; the block puts the response into the list."""
    number, outer, outcome = next(_numbers), _inside.get(), list[Any]()
    _inside.set(number)
    began = perf_counter()
    try:
        yield outcome
    except BaseException as error:
        outcome.append(error)
        raise
    finally:
        seconds = perf_counter() - began
        _inside.set(outer)
        if outcome[0] is not SKIPPED:
            tell(scopes, Called(signal, sender, receiver, seconds, outcome[0], number, send))


def tell(scopes: tuple[Scope, ...], event: object) -> None:
    """Tell scopes of an event; what they raise is logged."""
    for scope in scopes:
        try:
            scope.tell(event)
        except Exception:  # of a sender that cannot be compared, for one: watching never changes the outcome
            logger.exception("%r failed on a %s event", scope, type(event).__name__)
