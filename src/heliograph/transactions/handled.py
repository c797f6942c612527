"""Calls during which the receiver is not called again for what it is handling."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from heliograph.dispatch import Call
from heliograph.dispatch.reentrancy import Handling


@dataclass(frozen=True, slots=True)
class HandledCall(Call):
    """A call that is made later than the send, with the guard that the send would have had around it."""

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
