"""Sends: one plan of who is called with what, and a sync and an async driver for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from inspect import unwrap
from time import perf_counter
from typing import Any, TypeGuard

from asgiref.sync import async_to_sync, sync_to_async

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.concurrency import concurrency_of
from heliograph.dispatch.describe import full_name, qualified_name
from heliograph.dispatch.guarded import SKIPPED, Guarded, receiver_of
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.observed_calls import ObservedSend, announce, inside_kept, notify
from heliograph.dispatch.observed_events import Ended
from heliograph.dispatch.scopes import audible, current, silencer, where_entered
from heliograph.dispatch.skip_reasons import Muted, NotReached

Pair = tuple[Any, Any]  # a receiver and its response
Receivers = tuple[Sequence["Receiver"], Sequence["Receiver"]]  # the sync and the async ones

# The name under which Django logs, so that the logging settings that projects have go on working.
logger = logging.getLogger("django.dispatch")


class Send:
    """The plan of one send, which both drivers carry out: the receivers and the payload."""

    __slots__ = ("began", "concurrent", "observed", "payload", "robust", "scopes", "sender", "signal", "sync")

    def __init__(
        self, signal: AnySignal, sender: Any, payload: dict[str, Any], robust: bool, to: Receivers | None = None
    ) -> None:
        self.signal = signal
        self.sender = sender
        self.payload = payload
        self.robust = robust  # whether an exception is a response
        self.scopes = current()
        self.observed = self._announced() if self.scopes else None
        self.sync, self.concurrent = to or signal._live_receivers(sender)
        if self.observed is not None and to is None:
            report_muted(self.observed)

    def _announced(self) -> ObservedSend:
        """Let the scopes observe that the send begins."""
        self.began = perf_counter()
        number = announce(self.scopes, self.signal, self.sender, self.payload)
        return ObservedSend(self.scopes, {"signal": self.signal, "sender": self.sender, **self.payload}, number)

    def end(self) -> None:
        """Let the scopes observe that the send has ended."""
        if self.observed is not None and self.observed.number is not None:
            notify(self.scopes, Ended(self.observed.number, perf_counter() - self.began))

    def run(self, behind: Sequence[Receiver] = ()) -> list[Pair]:
        """Call the sync receivers, one after the other; after an error neither the rest nor those behind are called."""
        waiting = iter(self.sync)
        try:
            return [pair for called in waiting if (pair := self._call(called))[1] is not SKIPPED]
        except BaseException as error:  # SystemExit ends a send, too
            rest = [*waiting]
            if self.observed is not None and len(rest) < len(self.sync):  # Ctrl-C may come before the first call
                report_rest(self.observed, self.sync[-len(rest) - 1], error, [*rest, *behind])
            raise

    async def run_concurrent(self) -> list[Pair]:
        """Call the async receivers."""
        with self.watched():
            return _due(await concurrency_of(self.signal).together(self.coroutines()))

    def watched(self) -> AbstractContextManager[None]:
        """Return the context manager for receivers that run beside each other."""
        return nullcontext() if self.observed is None else inside_kept()

    def coroutines(self) -> list[Any]:
        """Return the calls of the async receivers, not begun."""
        return [self._call_async(called) for called in self.concurrent]

    def _call(self, called: Receiver) -> Pair:
        receiver = called.receiver if type(called) is Guarded else called  # receiver_of(), without the call of it
        try:
            if self.observed is None:
                return receiver, called(signal=self.signal, sender=self.sender, **self.payload)
            return receiver, self.observed.respond(called, receiver)
        except Exception as error:
            if not self.robust:
                raise
            return receiver, _logged(receiver, error)

    async def _call_async(self, called: Receiver) -> Pair:
        receiver = receiver_of(called)
        try:
            if self.observed is None:
                return receiver, await called(signal=self.signal, sender=self.sender, **self.payload)
            return receiver, await self.observed.respond_async(called, receiver)
        except Exception as error:
            if not self.robust:
                raise
            return receiver, _logged(receiver, error)


def deliver(send: Send) -> list[Pair]:
    """Carry out a send from sync code: the async receivers run after the sync ones, in an event loop."""
    try:
        responses = send.run(send.concurrent)
        if send.concurrent:
            responses += async_to_sync(send.run_concurrent)()
    finally:
        send.end()
    return responses


async def deliver_async(send: Send) -> list[Pair]:
    """Carry out a send from async code: the sync receivers run in a thread, unless none of them blocks."""
    try:
        return await _delivered_async(send)
    finally:
        send.end()


async def _delivered_async(send: Send) -> list[Pair]:
    if not send.sync:
        return await send.run_concurrent() if send.concurrent else []
    run = _run_here if all(_never_blocks(called) for called in send.sync) else _run_in_thread
    with send.watched():
        return _due(await send.signal._concurrency.both(lambda: run(send), send.coroutines()))


async def _run_here(send: Send) -> list[Pair]:
    return send.run()


_run_in_thread = sync_to_async(Send.run)


def _never_blocks(called: Receiver) -> bool:
    return type(called) is Guarded and not called.options.blocking


def guarded_for(signal: Any, sender: Any) -> list[Guarded]:
    """Return the receivers of a send that have options, without the wrappers that a monitoring tool may add."""
    table = getattr(signal, "_table", None)
    if table is not None:
        if table.silent:
            return []
        route = table.route(sender)
        found = [receiver for resolve in (*route.sync, *route.concurrent) if (receiver := resolve()) is not None]
        scopes = current()
        called = audible(signal, sender, found, scopes) if scopes else found
    else:
        called = [unwrap(one, stop=_is_guarded) for group in signal._live_receivers(sender) for one in group]
    return [one for one in called if type(one) is Guarded]


def send_to(guarded: Sequence[Guarded], signal: Any, sender: Any, payload: dict[str, Any]) -> list[Pair]:
    """Send, from sync code, to some of the receivers, and to nobody else."""
    sync = [one for one in guarded if not one.connection.is_async]
    concurrent = [one for one in guarded if one.connection.is_async]
    return deliver(Send(signal, sender, payload, robust=False, to=(sync, concurrent)))


def report_muted(observed: ObservedSend) -> None:
    """Let the scopes observe which receivers of a send are muted."""
    silencing = [scope for scope in observed.scopes if scope.is_silencing]
    table = getattr(observed.signal, "_table", None)
    if not silencing or table is None:
        return
    route = table.route(observed.sender)
    for called in (found for resolve in (*route.sync, *route.concurrent) if (found := resolve()) is not None):
        scope = silencer(observed.signal, observed.sender, called, silencing)
        if scope is not None:
            observed.skip(receiver_of(called), Muted(scope, where_entered(scope)))


def report_rest(observed: ObservedSend, failed: Receiver, error: BaseException, rest: Sequence[Receiver]) -> None:
    """Let the scopes observe which receivers of a send are not called, because of the error of one before them."""
    reason = NotReached(full_name(receiver_of(failed)), type(error).__name__)
    for called in rest:
        observed.skip(receiver_of(called), reason)


def _is_guarded(called: object) -> TypeGuard[Guarded]:
    return type(called) is Guarded


def _due(responses: list[Pair]) -> list[Pair]:
    return [pair for pair in responses if pair[1] is not SKIPPED]


def _logged(receiver: Receiver, error: Exception) -> Exception:
    name = qualified_name(receiver)
    logger.error("Error calling %s in Signal.send_robust() (%s)", name, error, exc_info=error)
    return error
