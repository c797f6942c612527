"""Observed sends and calls: scopes get numbered and timed events, and may put a context manager around a call."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.observed_events import Called, Calling, Sent
from heliograph.dispatch.scopes import Scope, watch

logger = logging.getLogger("heliograph.observers")

_numbers = itertools.count(1)
_inside: ContextVar[int | None] = ContextVar("heliograph_inside", default=None)


def announce(scopes: tuple[Scope, ...], signal: AnySignal, sender: Any, kwargs: dict[str, Any]) -> int:
    """Let the scopes observe that a send begins, and return its number."""
    sent = Sent(signal, sender, kwargs, next(_numbers), _inside.get())
    notify(scopes, sent)
    return sent.number


def current_send() -> int | None:
    """Return the number of the send that a call is kept for, or None while nobody watches."""
    return _inside.get() if watch else None


@contextmanager
def inside_send(number: int) -> Iterator[None]:
    """Let calls that are kept for later know the number of their send."""
    outer = _inside.set(number)
    try:
        yield
    finally:
        _inside.reset(outer)


@contextmanager
def inside_kept() -> Iterator[None]:
    """Restore the number of the call that the sender is in: async receivers share its context, and end in any order."""
    outer = _inside.get()
    try:
        yield
    finally:
        _inside.set(outer)


@contextmanager
def observed(
    scopes: tuple[Scope, ...], signal: AnySignal, sender: Any, receiver: Receiver, send: int | None
) -> Iterator[list[Any]]:
    """Let the scopes go around a call, and observe that it has ended; the block puts the response into the list."""
    number, outer, outcome = next(_numbers), _inside.get(), list[Any]()
    _inside.set(number)
    began = perf_counter()
    try:
        with _around(scopes, Calling(signal, sender, receiver, number, send)):
            yield outcome
    except BaseException as error:
        outcome.append(error)
        raise
    finally:
        seconds = perf_counter() - began
        _inside.set(outer)
        if outcome[0] is not SKIPPED:
            notify(scopes, Called(signal, sender, receiver, seconds, outcome[0], number, send))


@contextmanager
def _around(scopes: tuple[Scope, ...], call: Calling) -> Iterator[None]:
    """Enter the context managers of the scopes around a call; none of them can suppress the error of the call."""
    entered = [one for scope in scopes if (one := _entered(scope, call)) is not None]
    try:
        yield
    finally:
        error = sys.exc_info()
        for one in reversed(entered):
            try:
                one.__exit__(*error)
            except Exception:
                logger.exception("%r failed after a call of %s", one, full_name(call.receiver))


def _entered(scope: Scope, call: Calling) -> AbstractContextManager[object] | None:
    try:
        around = scope.around_call(call)
        if around is not None:
            around.__enter__()
    except Exception:
        logger.exception("%r failed before a call of %s", scope, full_name(call.receiver))
        return None
    return around


def notify(scopes: tuple[Scope, ...], event: object) -> None:
    """Let scopes observe an event; what they raise is logged."""
    for scope in scopes:
        try:
            scope.on_event(event)
        except Exception:  # e.g. of a sender that raises at `==`: watching never changes the outcome
            logger.exception("%r failed on a %s event", scope, type(event).__name__)
