"""Calls that are made later than their send, with what the send would have put around them."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from heliograph.dispatch import Call
from heliograph.dispatch.observers import observed
from heliograph.dispatch.receivers import is_async
from heliograph.dispatch.reentrancy import Handling
from heliograph.dispatch.scopes import current


@dataclass(frozen=True, slots=True)
class HandledCall(Call):
    """A call during which the receiver is not called again for what it is handling."""

    inner: Call
    handling: Handling

    def make(self) -> Any:
        """Make the call."""
        with self.handling:
            response = self.inner.make()
        return self._awaited(response) if isawaitable(response) else response

    async def _awaited(self, response: Awaitable[Any]) -> Any:
        with self.handling:
            return await response


@dataclass(frozen=True, slots=True)
class ObservedCall(Call):
    """A call that observers are told of, as one that was made in the send with this number."""

    inner: Call
    send: int | None

    def make(self) -> Any:
        """Make the call."""
        if is_async(self.receiver):
            return self._make_async()
        with observed(current(), self.signal, self.sender, self.receiver, self.send) as outcome:
            outcome.append(self.inner.make())
        return outcome[0]

    async def _make_async(self) -> Any:
        with observed(current(), self.signal, self.sender, self.receiver, self.send) as outcome:
            response = self.inner.make()
            outcome.append(await response if isawaitable(response) else response)
        return outcome[0]
