"""Guarded: a receiver with options, which tests its condition and its re-entrancy, and gives the call to its policy."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import nullcontext
from functools import partial
from inspect import isawaitable
from typing import Any

from asgiref.sync import markcoroutinefunction

from heliograph.dispatch.condition_base import Condition, Payload
from heliograph.dispatch.connections import Bucket, Connection, connection_to
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.options import PLAIN, Gate, Options
from heliograph.dispatch.policies import Call, Inline
from heliograph.dispatch.reentrancy import Handling, at_work, is_reentered, refuse
from heliograph.dispatch.skip_reasons import Gone, HandledElsewhere, Reentered, SkipReason

# Other libraries look for these names to find out whether a function is async.
_OF_A_COROUTINE = ("__code__", "_is_coroutine", "_is_coroutine_mark", "_is_coroutine_marker")


class _Skipped:
    """The response of a receiver that was not called."""

    def __repr__(self) -> str:
        return "SKIPPED"


SKIPPED = _Skipped()


class Guarded:
    """A receiver with its options, callable like the receiver itself; its response is SKIPPED where it is not due."""

    def __init__(self, connection: Connection, options: Options, receiver: Receiver) -> None:
        self.connection = connection
        self.options = options
        self.is_due = _question(options)
        self.reentrant = options.reentrant
        # Then the receiver is called directly, as Inline would call it by a Call.
        self.is_plain = type(options.delivery) is Inline and options.call is Call
        # A class has these names too, so __getattr__ is not asked for them.
        self.__module__ = getattr(receiver, "__module__", type(self).__module__)
        self.__doc__ = receiver.__doc__
        if connection.is_async:
            markcoroutinefunction(self)  # for another dispatcher, which sees nothing of the receiver

    def release(self) -> None:
        """Release the options, once the receiver was garbage collected: their facts live as long as it."""
        self.options, self.is_due = PLAIN, None

    @property
    def receiver(self) -> Receiver:
        """The receiver that the user connected."""
        receiver = self.connection.receiver()
        return _gone if receiver is None else receiver

    def __deepcopy__(self, memo: dict[int, Any]) -> Guarded:
        return self  # as with functions: a tool that copies the rows of a signal puts them back later

    def __getattr__(self, name: str) -> Any:
        # Its names are the receiver's: tools that wrap receivers read them. But one that is called later is not async.
        if name in _OF_A_COROUTINE and self.options.defers:
            raise AttributeError(f"{self.receiver!r} is called later: it has no {name} here.")
        return getattr(self.receiver, name)

    def __call__(self, **payload: Any) -> Any:
        if self.connection.is_async:
            return self._call_async(payload)
        if self.is_due is not None and not self.is_due(payload):
            return SKIPPED
        return self.call_due(payload)

    def call_due(self, payload: dict[str, Any]) -> Any:
        """Call the receiver, or hand its call to the policy, for a send that is due."""
        receiver = self.connection.receiver()
        if receiver is None:  # it was garbage collected after the send began
            return SKIPPED
        if self.reentrant == "allow" or payload.get("instance") is None:
            return self._make(receiver, payload)
        if is_reentered(receiver, payload):
            return self._skip(receiver, payload)
        if self.options.defers:  # it is not at work yet
            return self._make(receiver, payload)
        with Handling(receiver, payload):
            return self._make(receiver, payload)

    async def _call_async(self, payload: dict[str, Any]) -> Any:
        if self.is_due is not None and not self.is_due(payload):
            return SKIPPED
        return await self.call_due_async(payload)

    async def call_due_async(self, payload: dict[str, Any]) -> Any:
        """Call the receiver, which is async, for a send that is due."""
        receiver = self.receiver
        if self.reentrant != "allow" and is_reentered(receiver, payload):
            return self._skip(receiver, payload)
        with nullcontext() if self.reentrant == "allow" else Handling(receiver, payload):
            response = self._make(receiver, payload)
            return await response if isawaitable(response) else response

    def why_skipped(self) -> SkipReason:
        """Return why a send that is due was skipped, right after it was."""
        if self.connection.receiver() is None:
            return Gone()
        chain = tuple(map(str, at_work()))
        return Reentered(chain) if chain else HandledElsewhere()

    def _skip(self, receiver: Receiver, payload: dict[str, Any]) -> _Skipped:
        """Do not call the receiver, which is at work on this instance already; or raise, if it was connected so."""
        if self.reentrant == "raise":
            refuse(receiver, payload)
        return SKIPPED

    def _make(self, receiver: Receiver, payload: dict[str, Any]) -> Any:
        if self.is_plain:
            return receiver(**payload)
        return self.options.delivery.deliver(self.options.call(receiver, payload))


def _question(options: Options) -> Callable[[Payload], bool] | None:
    """Return the function that says whether a send is due, or None if every send is."""
    gates = [one for one in options.facts if isinstance(one, Gate)]
    when = None if options.asks_batch else options.when
    if not gates:
        return None if when is None else when.holds
    return gates[0].admits if len(gates) == 1 and when is None else partial(_passes, gates, when)


def _passes(gates: list[Gate], when: Condition | None, payload: Payload) -> bool:
    for gate in gates:
        if not gate.admits(payload):
            return False
    return when is None or when.holds(payload)


def connection_with(
    options: Options, bucket: Bucket, receiver: Receiver, key: Hashable, weak: bool, order: int
) -> Connection:
    """Return a new connection of a receiver that is called with these options."""
    if options is PLAIN:
        return connection_to(bucket, receiver, key, order, bucket.forget if weak else None)
    connection = connection_to(bucket, receiver, key, order, bucket.forget_guarded if weak else None)
    connection.is_async = connection.is_async and not options.defers
    connection.guarded = Guarded(connection, options, receiver)
    return connection


def receiver_of(called: Any) -> Receiver:
    """Return the receiver itself, of an object that a send calls."""
    return called.receiver if type(called) is Guarded else called


def _gone(**payload: Any) -> Any:
    """Stand in for a receiver that was garbage collected after the send began."""
    return SKIPPED
