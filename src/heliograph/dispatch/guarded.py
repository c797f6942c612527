"""The call of a receiver that has options: asked for, guarded, and handed to its delivery policy."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from inspect import isawaitable
from typing import Any

from asgiref.sync import markcoroutinefunction

from heliograph.dispatch import reentrancy
from heliograph.dispatch.policies import Call
from heliograph.dispatch.receivers import Connection, Options, Receiver


class _Skipped:
    """The response of a receiver that was not called."""

    def __repr__(self) -> str:
        return "SKIPPED"


SKIPPED = _Skipped()


class Guarded:
    """A receiver with its options, callable like the receiver itself; its response is SKIPPED where it is not due."""

    def __init__(self, connection: Connection, options: Options) -> None:
        self.connection = connection
        self.options = options
        # What a class has too, and so hides from __getattr__.
        self.__module__ = getattr(self.receiver, "__module__", type(self).__module__)
        self.__doc__ = self.receiver.__doc__
        if connection.is_async:
            markcoroutinefunction(self)  # for dispatchers that see nothing but this

    def of(self, connection: Connection) -> Guarded:
        """Return the same for another connection."""
        return Guarded(connection, self.options)

    def if_alive(self) -> Receiver | None:
        """Return this, or None once the receiver was garbage collected."""
        return self if self.connection() is not None else None

    @property
    def receiver(self) -> Receiver:
        """The receiver that the user connected."""
        receiver = self.connection.receiver()
        return _gone if receiver is None else receiver

    def __getattr__(self, name: str) -> Any:
        # Its names are the receiver's: tools that wrap receivers read them.
        return getattr(self.receiver, name)

    def __call__(self, **payload: Any) -> Any:
        call = Call(self.receiver, payload)
        return self._deliver_async(call) if self.connection.is_async else self._deliver(call)

    def _deliver(self, call: Call) -> Any:
        if not self._is_due(call):
            return SKIPPED
        with self._guard(call):
            return self.options.delivery.deliver(call)

    async def _deliver_async(self, call: Call) -> Any:
        if not self._is_due(call):
            return SKIPPED
        with self._guard(call):
            response = self.options.delivery.deliver(call)
            return await response if isawaitable(response) else response

    def _is_due(self, call: Call) -> bool:
        """Answer the condition, and whether the receiver is at work on this instance already."""
        options = self.options
        if options.when is not None and not options.when.holds(call.payload):
            return False
        if options.reentrant == "allow" or not reentrancy.is_reentered(call.receiver, call.payload):
            return True
        if options.reentrant == "raise":
            reentrancy.refuse(call.receiver, call.payload)
        return False

    def _guard(self, call: Call) -> AbstractContextManager[None]:
        guarded = self.options.reentrant != "allow" and call.payload.get("instance") is not None
        return reentrancy.handling(call.receiver, call.payload) if guarded else nullcontext()


def receiver_of(called: Any) -> Receiver:
    """Return the receiver behind what a send calls."""
    return called.receiver if type(called) is Guarded else called


def _gone(**payload: Any) -> Any:
    """Stand in for a receiver that was garbage collected after the send began."""
    return SKIPPED
