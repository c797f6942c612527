"""Calls that are made later than their send, with what the send would have put around them."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from inspect import isawaitable
from typing import Any

from heliograph.dispatch import Call
from heliograph.dispatch.observers import observed
from heliograph.dispatch.receivers import is_async
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


def with_key(payload: dict[str, Any], primary_key: Any) -> dict[str, Any]:
    """Return a payload whose instance has the primary key that it had when it was sent.

    Django takes that of an instance away once it is deleted, and others do so to save it as a copy.
    """
    if primary_key is None or payload["instance"].pk == primary_key:
        return payload
    instance = _copied(payload["instance"])
    instance.pk = primary_key
    return {**payload, "instance": instance}


def _copied(instance: Any) -> Any:
    """Return a shallow copy, without Model.__reduce__, which asks the registry for the model."""
    copied: Any = object.__new__(type(instance))
    copied.__dict__.update(instance.__dict__)
    copied._state = copy.copy(instance._state)
    copied._state.fields_cache = instance._state.fields_cache.copy()
    return copied
