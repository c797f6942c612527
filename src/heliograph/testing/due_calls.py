"""The call that a send would make of one receiver: its condition is asked, and its arguments are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from asgiref.sync import async_to_sync

from heliograph.catalogue import carried
from heliograph.context.kept_context import current_context
from heliograph.dispatch import Call
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.reentrancy import Handling
from heliograph.dispatch.skip_reasons import NoNetChange, NoRowIsDue, SkipReason
from heliograph.testing.batches_described import write_of_event
from heliograph.testing.described_sends import payload_of
from heliograph.testing.listening_receivers import ConnectedTo, chosen, connections_to
from heliograph.testing.writes_under_way import Changes, write_of
from heliograph.transactions.batches import Batch
from heliograph.transactions.late_calls import awaited, make_late
from heliograph.transactions.net import together

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

Receiver = Callable[..., Any]


class NotCalledError(AssertionError):
    """The condition of a receiver does not hold for the send that a test has given to `deliver()` or `perform()`.

    `reason` says why, as in the event `Skipped`. It is an AssertionError, so the test counts as failed.
    """

    def __init__(self, receiver: Receiver, reason: SkipReason) -> None:
        super().__init__(f"{full_name(receiver)} is not called: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class DescribedSend:
    """A send to one receiver, as a test describes it."""

    receiver: Receiver
    given: Mapping[str, Any]
    signal: Any = None
    sender: Any = None
    changes: Changes | None = None

    def response(self) -> Any:
        """Call the receiver as the send would, and return its response. Raises NotCalledError if it is not due."""
        if self._is_late:
            return self._answered(self.late_call())
        connected, payload = self._target()
        with self._write_of(payload):
            call = self._due(connected, payload)
            is_guarded = connected.connection.options.reentrant != "allow" and payload.get("instance") is not None
            handling = Handling(self.receiver, payload) if is_guarded else None
            return _awaited(make_late(call, handling, None, current_context.get()))

    def late_call(self) -> Call:
        """Return the call that is made at the end of the transaction, or by a worker."""
        if self._is_net_batch:
            return together([*self._sends()])
        connected, payload = self._target()
        with self._write_of(payload):
            return self._due(connected, payload)

    def refused(self) -> NotCalledError:
        """Return the error for a batch of which no row is due."""
        conditions = [one.connection.options.when for one in connections_to(self.receiver)]
        when = next((one for one in conditions if one is not None), None)
        return NotCalledError(self.receiver, NoNetChange() if when is None else NoRowIsDue(when))

    # --- parts ----------------------------------------------------------------------------------------------------

    @property
    def _is_net_batch(self) -> bool:
        return isinstance(self.given.get("batch"), Batch) and _asks_batch(self.receiver)

    @property
    def _is_late(self) -> bool:
        return self._is_net_batch or self._target()[0].connection.options.defers

    def _target(self) -> tuple[ConnectedTo, dict[str, Any]]:
        instance = self.given.get("instance")
        sender = self.sender if instance is None or self.sender is not None else instance.__class__
        connected = chosen(self.receiver, self.signal, sender, self.given)
        return connected, payload_of(connected, self.sender, self._given_to(connected.signal))

    def _given_to(self, signal: Any) -> Mapping[str, Any]:
        """Return the values, with `changes` if a signal sends them itself."""
        return {**self.given, "changes": self.changes} if _sends_changes(signal) else self.given

    def _write_of(self, payload: dict[str, Any]) -> AbstractContextManager[object]:
        return write_of(payload, None if _sends_changes(payload["signal"]) else self.changes)

    def _due(self, connected: ConnectedTo, payload: dict[str, Any]) -> Call:
        options = connected.connection.options
        reason = options.refusal(payload)
        if reason is not None:
            raise NotCalledError(self.receiver, reason)
        return options.call(self.receiver, payload)

    def _sends(self) -> Iterator[Any]:
        for event in self.given["batch"].events:
            connected = chosen(self.receiver, event.signal, event.sender, {})
            payload = {"signal": event.signal, "sender": event.sender, **event.kwargs}
            with write_of_event(event):
                yield self._due(connected, payload)

    def _answered(self, call: Call) -> Any:
        response = _awaited(call.make())
        if response is SKIPPED:
            raise self.refused()
        return response


def _sends_changes(signal: Any) -> bool:
    return "changes" in (carried(signal) or ())


def _asks_batch(receiver: Receiver) -> bool:
    return any(one.connection.options.asks_batch for one in connections_to(receiver))


def _awaited(response: Any) -> Any:
    """Return a response, also of an async receiver."""
    return async_to_sync(awaited)(response) if isawaitable(response) else response
