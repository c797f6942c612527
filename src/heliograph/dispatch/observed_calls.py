"""Observed sends and calls: scopes get numbered and timed events, and may put a context manager around a call."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from time import perf_counter
from typing import Any

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.guarded import SKIPPED, Guarded
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.observed_events import Called, Calling, PutOff, Sent, Skipped
from heliograph.dispatch.scopes import Scope, watch
from heliograph.dispatch.skip_reasons import SkipReason

logger = logging.getLogger("heliograph.observers")

Scopes = tuple[Scope, ...]
Around = AbstractContextManager[object]

_numbers = itertools.count(1)
new_tuple: Any = tuple.__new__  # makes an event in half of the time of its class
_inside: ContextVar[int | None] = ContextVar("heliograph_inside", default=None)


def announce(scopes: Scopes, signal: AnySignal, sender: Any, kwargs: dict[str, Any]) -> int:
    """Let the scopes observe that a send begins, and return its number."""
    sent = Sent(signal, sender, kwargs, next(_numbers), _inside.get())
    notify(scopes, sent)
    return sent.number


def current_call() -> int | None:
    """Return the number of the call, send or save that is under way in this thread or task, for events of your own.

    It is None while nobody watches. Numbers rise through the process, and each event has its own.
    """
    return _inside.get() if watch else None


@contextmanager
def inside(number: int | None) -> Iterator[None]:
    """Let what is sent, called and kept in the block know in what it happens."""
    outer = _inside.set(number)
    try:
        yield
    finally:
        _inside.reset(outer)


def new_number() -> int:
    """Return the number of another event."""
    return next(_numbers)


@contextmanager
def inside_kept() -> Iterator[None]:
    """Restore the number of the call that the sender is in: async receivers share its context, and end in any order."""
    outer = _inside.get()
    try:
        yield
    finally:
        _inside.set(outer)


# --- receivers of a send ------------------------------------------------------------------------------------------


class ObservedSend:
    """A send whose receivers are observed: what it has, and its number."""

    __slots__ = ("around", "number", "payload", "scopes", "sender", "signal")

    def __init__(self, scopes: Scopes, payload: dict[str, Any], number: int | None) -> None:
        self.scopes = scopes
        self.payload = payload  # with `signal` and `sender`
        self.signal = payload["signal"]
        self.sender = payload["sender"]
        self.number = number
        self.around = any(scope.goes_around_calls for scope in scopes)  # whether one may go around a call

    def respond(self, called: Receiver, receiver: Receiver) -> Any:
        """Call a sync receiver, and return its response; SKIPPED if it is not due."""
        if type(called) is Guarded:
            return self._respond_guarded(called, receiver)
        if self.around:
            return observed_call(self.scopes, self.payload, receiver, self.number, called, **self.payload)
        # What `observed_call` does, without its loops and in one frame: most calls are made here.
        number, outcome = next(_numbers), None
        outer = _inside.set(number)
        began = perf_counter()
        try:
            outcome = called(**self.payload)
        except BaseException as error:
            outcome = error
            raise
        finally:
            took = perf_counter() - began
            about = (self.signal, self.sender, receiver, took, outcome, number, self.number, self.payload)
            notify(self.scopes, new_tuple(Called, about))
            _inside.reset(outer)
        return outcome

    def _respond_guarded(self, called: Guarded, receiver: Receiver) -> Any:
        if (reason := called.options.refusal(self.payload)) is not None:
            return self.skip(receiver, reason)
        if called.options.defers:
            keep = partial(called.call_due, self.payload)
            return self.put_off(receiver, called.options.delivery, keep, called.why_skipped)
        response = observed_call(self.scopes, self.payload, receiver, self.number, called.call_due, self.payload)
        return response if response is not SKIPPED else self.skip(receiver, called.why_skipped())

    async def respond_async(self, called: Receiver, receiver: Receiver) -> Any:
        """Call an async receiver, and return its response; SKIPPED if it is not due."""
        if type(called) is not Guarded:
            return await observed_await(self.scopes, self.payload, receiver, self.number, called, **self.payload)
        if (reason := called.options.refusal(self.payload)) is not None:
            return self.skip(receiver, reason)
        call = called.call_due_async
        response = await observed_await(self.scopes, self.payload, receiver, self.number, call, self.payload)
        return response if response is not SKIPPED else self.skip(receiver, called.why_skipped())

    def put_off(
        self, receiver: Receiver, policy: Any, keep: Callable[[], Any], why_skipped: Callable[[], SkipReason]
    ) -> Any:
        """Keep a call for later. Whoever makes it lets scopes observe it, with the number of its `PutOff` as parent."""
        number = next(_numbers)
        with inside(number):
            response = keep()
        if response is SKIPPED:
            return self.skip(receiver, why_skipped())
        notify(self.scopes, PutOff(self.signal, self.sender, receiver, policy, number, self.number))
        return response

    def skip(self, receiver: Receiver, reason: SkipReason) -> Any:
        """Let the scopes observe that a receiver is not called, and return SKIPPED."""
        if reason.is_reported:
            notify(self.scopes, Skipped(self.signal, self.sender, receiver, reason, next(_numbers), self.number))
        return SKIPPED


def observed_call(
    scopes: Scopes,
    payload: Mapping[str, Any],
    receiver: Receiver,
    parent: int | None,
    function: Callable[..., Any],
    /,
    *args: Any,
    **named: Any,
) -> Any:
    """Call a function for a receiver, let the scopes go around the call, and observe that it has ended.

    `payload` has the signal and the sender; `parent` is the number of the send.
    """
    # No context manager, and no object for the call: a call costs a third of a microsecond, and to watch it a few.
    number, outer, outcome = next(_numbers), _inside.get(), None
    _inside.set(number)
    entered = _entered(scopes, payload, receiver, number, parent)
    began = perf_counter()
    try:
        outcome = function(*args, **named)
    except BaseException as error:
        outcome = error
        raise
    finally:
        _end(scopes, payload, receiver, number, parent, perf_counter() - began, outcome, entered)
        _inside.set(outer)
    return outcome


async def observed_await(
    scopes: Scopes,
    payload: Mapping[str, Any],
    receiver: Receiver,
    parent: int | None,
    function: Callable[..., Any],
    /,
    *args: Any,
    **named: Any,
) -> Any:
    """Call a function for an async receiver, as `observed_call` does, and await its response."""
    number, outer, outcome = next(_numbers), _inside.get(), None
    _inside.set(number)
    entered = _entered(scopes, payload, receiver, number, parent)
    began = perf_counter()
    try:
        outcome = await function(*args, **named)
    except BaseException as error:
        outcome = error
        raise
    finally:
        _end(scopes, payload, receiver, number, parent, perf_counter() - began, outcome, entered)
        _inside.set(outer)
    return outcome


def _end(
    scopes: Scopes,
    payload: Mapping[str, Any],
    receiver: Receiver,
    number: int,
    parent: int | None,
    seconds: float,
    outcome: Any,
    entered: Sequence[Around],
) -> None:
    """Leave the context managers around a call, and let the scopes observe its response or its error."""
    if entered:
        _leave(entered, receiver)
    if outcome is not SKIPPED:
        signal, sender = payload["signal"], payload["sender"]
        notify(scopes, Called(signal, sender, receiver, seconds, outcome, number, parent, payload))


def _entered(
    scopes: Scopes, payload: Mapping[str, Any], receiver: Receiver, number: int, parent: int | None
) -> Sequence[Around]:
    """Enter the context managers of the scopes around a call; none of them can suppress the error of the call."""
    asked = [scope for scope in scopes if scope.goes_around_calls]
    if not asked:
        return ()
    call, entered = Calling(payload["signal"], payload["sender"], receiver, number, parent), []
    for scope in asked:
        try:
            around = scope.around_call(call)
            if around is not None:
                around.__enter__()
                entered.append(around)
        except Exception:
            logger.exception("%r failed before a call of %s", scope, full_name(call.receiver))
    return entered


def _leave(entered: Sequence[Around], receiver: Receiver) -> None:
    error = sys.exc_info()
    for one in reversed(entered):
        try:
            one.__exit__(*error)
        except Exception:
            logger.exception("%r failed after a call of %s", one, full_name(receiver))


def notify(scopes: Scopes, event: object) -> None:
    """Let scopes observe an event; what they raise is logged."""
    for scope in scopes:
        try:
            scope.on_event(event)
        except Exception:  # e.g. of a sender that raises at `==`: watching never changes the outcome
            logger.exception("%r failed on a %s event", scope, type(event).__name__)
