"""Muting: receivers that are not called, in a block or during a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.names import is_signal
from heliograph.dispatch.scopes import Scope, same_sender

F = TypeVar("F", bound=Callable[..., Any])


class mute(Scope):
    """A context manager and decorator that keeps receivers from being called in this thread or task.

    `mute(post_save, sender=Product)` takes any number of signals, receivers, and classes that send; `sender` takes
    senders of every kind, or a list of them. With several kinds, a receiver is silent where all of them agree; without
    any, all receivers are silent. Raises TypeError for another value, and for a class that is decorated.
    """

    def __init__(self, *targets: Any, sender: Any = None) -> None:
        self._signals = [target for target in targets if is_signal(target)]
        self._senders = [target for target in targets if isinstance(target, type)]
        self._receivers = [target for target in targets if callable(target) and target not in self._senders]
        known = len(self._signals) + len(self._senders) + len(self._receivers)
        if known < len(targets):
            by_name = " Import what a string names." if any(isinstance(one, str) for one in targets) else ""
            raise TypeError(
                "mute() takes signals that Heliograph runs, receivers and sender classes,"
                f" not {targets!r}; other senders go into sender=.{by_name}"
            )
        if sender is not None:
            self._senders += sender if isinstance(sender, list) else [sender]

    def silences(self, signal: AnySignal, sender: Any, receiver: Receiver) -> bool:
        return (
            (not self._signals or any(signal is muted for muted in self._signals))
            and (not self._senders or any(same_sender(sender, muted) for muted in self._senders))
            and (not self._receivers or any(receiver == muted for muted in self._receivers))
        )

    def __repr__(self) -> str:
        muted = [*(signal.name for signal in self._signals), *map(full_name, self._receivers)]
        senders = [str(getattr(sender, "__qualname__", repr(sender))) for sender in self._senders]
        return f"{type(self).__name__}({', '.join([*muted, *senders])})"

    def __call__(self, function: F) -> F:
        """Return the function with this scope around each call of it."""
        if isinstance(function, type):
            verb = type(self).__name__
            raise TypeError(
                f"{verb}() decorates functions, not the class {function.__qualname__}: decorate its methods."
            )
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
