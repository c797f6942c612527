"""Scopes: what is muted, captured or observed in this thread or task."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Self

from heliograph.callers import line_of_caller
from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.guarded import Guarded, receiver_of
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.observed_events import Calling
from heliograph.dispatch.options import NeverMuted


class Scope:
    """A `with` block that changes or watches sends, in this thread or task and in those that it starts; it nests."""

    watches_sends = True  # whether sends ask it anything
    is_silencing = False  # whether it may silence receivers
    goes_around_calls = False  # whether it may put a context manager around calls

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.is_silencing = cls.silences is not Scope.silences
        cls.goes_around_calls = cls.around_call is not Scope.around_call

    def silences(self, signal: AnySignal, sender: Any, receiver: Receiver) -> bool:
        """Return whether the receiver is not to be called."""
        return False

    def listens(self, signal: AnySignal, sender: Any) -> bool:
        """Return whether a send is to be made even if nobody is connected."""
        return False

    def on_event(self, event: object) -> None:
        """Take an event; must not raise."""

    def around_call(self, call: Calling) -> AbstractContextManager[object] | None:
        """Return a context manager that goes around the call of a receiver, or None; it cannot change the outcome."""

    def __enter__(self) -> Self:
        _entries.set((*_entries.get(), _Entry(self, line_of_caller() if self.is_silencing else "")))
        if self.watches_sends:
            watch.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        # Close the innermost open entry of this object. The scope itself keeps no state, so threads and tasks can enter
        # one object at once.
        if self.watches_sends:
            watch.pop()
        mine = [entry for entry in _entries.get() if entry.scope is self and entry.open]
        if mine:  # none, where a fixture is left in another task than it was entered in
            mine[-1].open = False
            _entries.set(tuple(entry for entry in _entries.get() if entry is not mine[-1]))


class _Entry:
    """A scope that was entered. A task that was started inside it has the entry too, and must know of its end."""

    __slots__ = ("open", "scope", "where")

    def __init__(self, scope: Scope, where: str) -> None:
        self.scope = scope
        self.where = where  # the file and the line, of a scope that may silence receivers
        self.open = True


_entries: ContextVar[tuple[_Entry, ...]] = ContextVar("heliograph_scopes", default=())

# The scopes of the whole process, in the order in which they were added. This and the next one are lists, because each
# change of a list is atomic: it takes no lock, which a fork could leave locked.
everywhere: list[Scope] = []

# One member for each open scope of the process that sends ask. While it is empty, a send asks nothing else.
watch: list[Scope] = []


def current() -> tuple[Scope, ...]:
    """Return the scopes that a send in this thread or task asks, in the order of `open_scopes`."""
    return tuple(scope for scope in open_scopes() if scope.watches_sends) if watch else ()


def open_scopes() -> tuple[Scope, ...]:
    """Return all scopes that are open here: scopes of the process, then scopes of blocks, the outermost block first."""
    return (*everywhere, *(entry.scope for entry in _entries.get() if entry.open))


def add_everywhere(scope: Scope) -> Callable[[], None]:
    """Open a scope for every thread and task, and return the function that closes it."""
    everywhere.append(scope)
    if scope.watches_sends:
        watch.append(scope)
    return functools.partial(_remove_everywhere, scope)


def _remove_everywhere(scope: Scope) -> None:
    try:
        everywhere.remove(scope)  # of two threads, one succeeds
    except ValueError:
        return
    if scope.watches_sends:
        watch.pop()


def audible(signal: AnySignal, sender: Any, receivers: list[Receiver], scopes: tuple[Scope, ...]) -> list[Receiver]:
    """Return the receivers that no scope silences."""
    return [one for one in receivers if silencer(signal, sender, one, scopes) is None]


def silencer(signal: AnySignal, sender: Any, called: Receiver, scopes: Iterable[Scope]) -> Scope | None:
    """Return the scope that silences a receiver, or None."""
    if type(called) is Guarded and called.options.find(NeverMuted) is not None:
        return None
    receiver = receiver_of(called)
    return next((scope for scope in scopes if scope.silences(signal, sender, receiver)), None)


def where_entered(scope: Scope) -> str:
    """Return the file and the line at which a scope was entered that is open here."""
    found = [entry.where for entry in _entries.get() if entry.scope is scope and entry.open]
    return found[-1] if found else "the whole process"


def same_sender(sender: Any, other: Any) -> bool:
    """Return whether two senders are the same: a class is itself, and values of one type may be equal."""
    return sender is other or (type(sender) is type(other) and not isinstance(sender, type) and bool(sender == other))
