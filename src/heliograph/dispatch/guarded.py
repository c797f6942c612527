"""The call of a receiver that has options: asked for, guarded, and handed to its delivery policy."""

from __future__ import annotations

from collections.abc import Awaitable
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
        return self.connection.receiver() or _gone

    def __getattr__(self, name: str) -> Any:
        # Names, module and docstring are the receiver's: tools that wrap receivers read them.
        return getattr(self.receiver, name)

    def __call__(self, **payload: Any) -> Any:
        receiver = self.receiver
        if not self._is_due(receiver, payload):
            return SKIPPED if not self.connection.is_async else _skipped()
        call = Call(receiver, payload)
        if self.options.reentrant == "allow" or payload.get("instance") is None:
            return self.options.delivery.deliver(call)
        return self._guard_async(call) if self.connection.is_async else self._guard(call)

    def _is_due(self, receiver: Receiver, payload: dict[str, Any]) -> bool:
        options = self.options
        if options.when is not None and not options.when.holds(payload):
            return False
        if options.reentrant == "allow" or not reentrancy.is_reentered(receiver, payload):
            return True
        if options.reentrant == "raise":
            reentrancy.refuse(receiver, payload)
        return False

    def _guard(self, call: Call) -> Any:
        with reentrancy.handling(call.receiver, call.payload):
            return self.options.delivery.deliver(call)

    async def _guard_async(self, call: Call) -> Any:
        with reentrancy.handling(call.receiver, call.payload):
            response: Awaitable[Any] = self.options.delivery.deliver(call)
            return await response


def receiver_of(called: Any) -> Receiver:
    """Return the receiver behind what a send calls."""
    return called.receiver if type(called) is Guarded else called


def _gone(**payload: Any) -> Any:
    """Stand in for a receiver that was garbage collected after the send began."""
    return SKIPPED


async def _skipped() -> Any:
    return SKIPPED
