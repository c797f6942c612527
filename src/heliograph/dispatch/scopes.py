"""Scopes: what is muted, captured or observed in this thread or task."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from heliograph.dispatch.guarded import receiver_of
from heliograph.dispatch.names import is_signal
from heliograph.dispatch.observed_events import Sent

if TYPE_CHECKING:
    from heliograph.dispatch.connections import Receiver
    from heliograph.dispatch.signal import Signal

F = TypeVar("F", bound=Callable[..., Any])


class Scope:
    """What a `with` block enters, for this thread or task and for what it starts; it nests."""

    watches_sends = True  # whether sends ask it anything

    def silences(self, signal: Signal[...], sender: Any, receiver: Receiver) -> bool:
        """Return whether the receiver is not to be called."""
        return False

    def hears(self, signal: Signal[...], sender: Any) -> bool:
        """Return whether a send is to be made even if nobody is connected."""
        return False

    def tell(self, event: object) -> None:
        """Take note of an event; must not raise."""

    def __enter__(self) -> Self:
        _entries.set((*_entries.get(), _Entry(self)))
        if self.watches_sends:
            watch.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        # The innermost open entry of this very object is closed: no state is kept in the scope, so that threads and
        # tasks can enter one object at once.
        if self.watches_sends:
            watch.pop()
        mine = [entry for entry in _entries.get() if entry.scope is self and entry.open]
        if mine:  # none, where a fixture is left in another task than it was entered in
            mine[-1].open = False
            _entries.set(tuple(entry for entry in _entries.get() if entry is not mine[-1]))


class _Entry:
    """A scope that was entered. A task that was started inside it has the entry too, and must know of its end."""

    __slots__ = ("open", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.open = True


_entries: ContextVar[tuple[_Entry, ...]] = ContextVar("heliograph_scopes", default=())

# The scopes that every thread and task is in, first added first. A list, and so is the next one: what is done to them
# is atomic, so that neither a lock nor a fork is in the way.
everywhere: list[Scope] = []

# As many members as there are open scopes in the process that sends ask. While it is empty, a send looks at nothing
# else.
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


class mute(Scope):
    """Silence receivers, as context manager or decorator: of signals, of senders, by themselves, or all.

    `mute(post_save, sender=Product)` takes any number of signals, receivers and senders (classes), in this
    thread or task only. With several kinds, a receiver is silent where all of them agree.
    """

    def __init__(self, *targets: Any, sender: Any = None) -> None:
        self._signals = [target for target in targets if is_signal(target)]
        self._senders = [target for target in targets if isinstance(target, type)]
        self._receivers = [target for target in targets if callable(target) and target not in self._senders]
        known = len(self._signals) + len(self._senders) + len(self._receivers)
        if known < len(targets):
            raise TypeError(
                "mute() takes signals that Heliograph runs, receivers and sender classes,"
                f" not {targets!r}; other senders go into sender=."
            )
        if sender is not None:
            self._senders += sender if isinstance(sender, list) else [sender]

    def silences(self, signal: Signal[...], sender: Any, receiver: Receiver) -> bool:
        return (
            (not self._signals or any(signal is muted for muted in self._signals))
            and (not self._senders or any(_same_sender(sender, muted) for muted in self._senders))
            and (not self._receivers or any(receiver == muted for muted in self._receivers))
        )

    def __call__(self, function: F) -> F:
        """Return the function with this scope around each call of it."""
        if isinstance(function, type):
            raise TypeError(f"mute() decorates functions, not the class {function.__qualname__}: decorate its methods.")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def muted_async(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return muted_async  # type: ignore[return-value]

        @functools.wraps(function)
        def muted(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return muted  # type: ignore[return-value]


class capture(Scope, Sequence[Sent]):
    """Record the sends of some signals, or of all, in this thread or task; receivers are called as ever.

    The captured sends are a sequence: `sent[0].kwargs`, `len(sent)`.
    """

    def __init__(self, *signals: Any, sender: Any = None) -> None:
        for signal in signals:
            if not is_signal(signal):
                raise TypeError(f"capture() takes signals that Heliograph runs, not {signal!r}.")
        self._signals = signals
        self._sender = sender
        self._sent: list[Sent] = []
        self._attention = [signal._attended(sender) for signal in signals]

    def hears(self, signal: Signal[...], sender: Any) -> bool:
        return (not self._signals or any(signal is wanted for wanted in self._signals)) and (
            self._sender is None or _same_sender(sender, self._sender)
        )

    def tell(self, event: object) -> None:
        if isinstance(event, Sent) and self.hears(event.signal, event.sender):
            self._sent.append(event)

    @overload
    def __getitem__(self, index: int) -> Sent: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sent]: ...
    def __getitem__(self, index: int | slice) -> Sent | list[Sent]:
        return self._sent[index]

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent)

    def __repr__(self) -> str:
        return f"<capture of {len(self)} sends>"

    def assert_sent(self, **kwargs: Any) -> Sent:
        """Return the first captured send that carried these values; AssertionError names what was sent instead."""
        for sent in self._sent:
            if _carries(sent.kwargs, kwargs):
                return sent
        raise AssertionError(f"No captured send carried {kwargs!r}. {self._listing()}")

    def assert_not_sent(self, **kwargs: Any) -> None:
        """Raise AssertionError if a captured send carried these values."""
        if any(_carries(sent.kwargs, kwargs) for sent in self._sent):
            raise AssertionError(f"A captured send carried {kwargs!r}. {self._listing()}")

    def _listing(self) -> str:
        lines = [f"  {sent.signal.name} from {sent.sender!r}: {dict(sent.kwargs)!r}" for sent in self._sent]
        return "\n".join(["Captured:", *lines]) if lines else "Nothing was captured."


def audible(signal: Signal[...], sender: Any, receivers: list[Receiver], scopes: tuple[Scope, ...]) -> list[Receiver]:
    """Return the receivers that no scope silences."""
    return [one for one in receivers if not any(scope.silences(signal, sender, receiver_of(one)) for scope in scopes)]


def _same_sender(sender: Any, other: Any) -> bool:
    return sender is other or (type(sender) is type(other) and not isinstance(sender, type) and bool(sender == other))


def _carries(sent: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in sent and sent[name] == value for name, value in wanted.items())
