"""Silence around a test: all receivers of the project except a few are muted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.describe import origin
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.muting import mute

_NOT_OF_THE_PROJECT = ("django.", "heliograph.")


class only(mute):
    """A context manager and decorator: in this thread or task, these receivers are called, and no others.

        with only(index):
            Order.objects.create()

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
