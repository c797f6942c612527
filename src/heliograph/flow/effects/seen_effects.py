"""An effect that a rollback does not undo, and the recorder that keeps those of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Thread, current_thread
from typing import Any, Literal
from weakref import WeakKeyDictionary

from heliograph.dispatch.describe import full_name
from heliograph.dispatch.observed_events import Calling
from heliograph.dispatch.scopes import Scope

EffectKind = Literal["sequence", "mail", "cache", "file", "network", "process", "thread", "database"]


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect that stays when a transaction is rolled back, and the receiver that has caused it. Frozen.

    - `kind`: "sequence", "mail", "cache", "file", "network", "process", "thread" or "database".
    - `text`: the effect in words, without values that were sent.
    - `receiver`: the receiver, or None outside of receivers.
    - `is_held`: whether the effect was only recorded, and did not happen.
    """

    kind: EffectKind
    text: str  # such as "mail 'Welcome' to 1 recipient"; values that were sent are not in it
    receiver: Callable[..., Any] | None = None  # None outside of receivers
    is_held: bool = False  # whether it was only recorded, and did not happen
    # The message of a mail, the head of a request, or the paths of a file, each with whether it was there before.
    about: Any = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.text if self.receiver is None else f"{self.text}, by {full_name(self.receiver)}"


class Recorder(Scope):
    """Keeps the effects of a block, and knows which receiver is at work in it."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def around_call(self, call: Calling) -> _AtWork:
        return _AtWork(call.receiver)


class _AtWork:
    """The call of a receiver, which effects are counted to."""

    __slots__ = ("_outer", "_receiver")

    def __init__(self, receiver: Any) -> None:
        self._receiver = receiver

    def __enter__(self) -> None:
        self._outer = _receiver.get()
        _receiver.set(self._receiver)

    def __exit__(self, *error: object) -> None:
        _receiver.set(self._outer)


_recorder: ContextVar[Recorder | None] = ContextVar("heliograph_effects", default=None)
_receiver: ContextVar[Any] = ContextVar("heliograph_receiver_of_effects", default=None)

# The threads that a block has started, each with its recorder and receiver: a thread has no context of its starter.
_of_threads: WeakKeyDictionary[Thread, tuple[Recorder, Any]] = WeakKeyDictionary()


def is_recording() -> bool:
    """Return whether the effects of this thread or task are recorded."""
    return _recorder_here()[0] is not None


def record(kind: EffectKind, text: str, *, is_held: bool = False, about: Any = None) -> None:
    """Record an effect of the receiver that is at work here; do nothing where nobody records."""
    recorder, receiver = _recorder_here()
    if recorder is not None:
        recorder.effects.append(Effect(kind, text, receiver, is_held, about))


def record_in_thread(thread: Thread) -> None:
    """Record what a thread will do as effects of the receiver that starts it."""
    recorder, receiver = _recorder_here()
    if recorder is not None:
        _of_threads[thread] = recorder, receiver


def _recorder_here() -> tuple[Recorder | None, Any]:
    recorder = _recorder.get()
    if recorder is not None or not _of_threads:
        return recorder, _receiver.get()
    return _of_threads.get(current_thread(), (None, None))


@contextmanager
def recording(recorder: Recorder | None) -> Iterator[None]:
    """Let a recorder keep the effects of a block, or nobody."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)
