"""Calls that are made later than their send, with what the send would have put around them."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from inspect import isawaitable
from typing import Any

from heliograph.changes import rows
from heliograph.dispatch import Call
from heliograph.dispatch.connections import is_async
from heliograph.dispatch.observers import observed
from heliograph.dispatch.reentrancy import Handling
from heliograph.dispatch.scopes import current


def make_late(call: Call, handling: Handling | None, send: int | None) -> Any:
    """Make a call in its guard against re-entrancy, and tell observers of it as a part of the send with this number."""
    if handling is None and not current():
        return call.make()
    if is_async(call.receiver):
        return _make_late_async(call, handling or nullcontext(), send)
    with handling or nullcontext(), _observed(call, send) as outcome:
        outcome.append(call.make())
    return outcome[0]


async def _make_late_async(call: Call, handling: AbstractContextManager[None], send: int | None) -> Any:
    with handling, _observed(call, send) as outcome:
        response = call.make()
        outcome.append(await response if isawaitable(response) else response)
    return outcome[0]


def _observed(call: Call, send: int | None) -> AbstractContextManager[list[Any]]:
    scopes = current()
    return observed(scopes, call.signal, call.sender, call.receiver, send) if scopes else nullcontext([])


async def awaited(response: Awaitable[Any]) -> Any:
    """Return what an async receiver returns."""
    return await response


def with_key(payload: dict[str, Any], primary_key: Any) -> dict[str, Any]:
    """Return a payload whose instance has the primary key that it had when it was sent.

    Django takes that of an instance away once it is deleted, and others do so to save it as a copy.
    """
    instance = payload["instance"] if primary_key is not None else None
    kept = instance if instance is None else rows.with_key(instance, primary_key)
    return payload if kept is instance else {**payload, "instance": kept}
