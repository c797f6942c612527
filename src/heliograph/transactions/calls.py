"""Calls that are made later than their send, with what the send would have put around them."""

from __future__ import annotations

import copy
from collections.abc import Awaitable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from heliograph.dispatch import Call
from heliograph.dispatch.observers import observed
from heliograph.dispatch.receivers import is_async
from heliograph.dispatch.reentrancy import Handling
from heliograph.dispatch.scopes import current


def make_handling(call: Call, handling: Handling) -> Any:
    """Make a call during which the receiver is not called again for what it is handling."""
    with handling:
        response = call.make()
    return _awaited(response, handling) if isawaitable(response) else response


async def _awaited(response: Awaitable[Any], handling: Handling) -> Any:
    with handling:
        return await response


def with_key(payload: dict[str, Any], primary_key: Any) -> dict[str, Any]:
    """Return a payload whose instance has the primary key that it had when it was sent.

    Django takes that of an instance away once it is deleted, and others do so to save it as a copy.
    """
    if primary_key is None or payload["instance"].pk == primary_key:
        return payload
    instance = copy.copy(payload["instance"])
    instance.pk = primary_key
    return {**payload, "instance": instance}


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
