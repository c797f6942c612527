"""Silence around a test: all receivers of the project but a few, and connections that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from heliograph.dispatch import live_signals
from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.describe import origin
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.inspection import connections_of
from heliograph.dispatch.muting import mute

_NOT_OF_THE_PROJECT = ("django.", "heliograph.")


class only(mute):
    """A context manager and decorator that silences all receivers but these, in this thread or task.

    Receivers that Django and Heliograph have connected themselves, such as those of an ImageField, go on. Raises
    TypeError for something that is no receiver, such as a signal.
    """

    def __init__(self, *receivers: Callable[..., Any]) -> None:
        if not receivers or not all(map(callable, receivers)):
            raise TypeError(f"only() takes the receivers that are called, not {receivers!r}; mute() takes signals.")
        super().__init__(*receivers)
        self._kept = receivers

    def silences(self, signal: AnySignal, sender: Any, receiver: Receiver) -> bool:
        if any(receiver == kept for kept in self._kept):
            return False
        return not f"{origin(receiver).__module__}.".startswith(_NOT_OF_THE_PROJECT)


@contextmanager
def isolated() -> Iterator[None]:
    """A context manager and decorator that restores all connections at the end.

    Receivers that the block connects are gone, others are back. This is for the whole process, as connecting is.
    """
    before = [(signal, connections_of(signal), signal.receivers) for signal in live_signals()]
    known = {id(signal) for signal, _, _ in before}
    try:
        yield
    finally:
        for signal, connections, rows in before:
            if connections_of(signal) != connections:
                signal.receivers = rows
        for signal in live_signals():
            if id(signal) not in known:
                signal.receivers = []
