"""Calls that are made later than their send, in the same guard and scopes as the send would have made them."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import Any

from heliograph.changes import rows
from heliograph.context.kept_context import Context, current_context, under
from heliograph.dispatch import Call
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.identity import Receiver, is_async
from heliograph.dispatch.observed_calls import ObservedSend, current_call, observed_await, observed_call
from heliograph.dispatch.options import Fact, Options
from heliograph.dispatch.reentrancy import Handling, key_of
from heliograph.dispatch.scopes import current, watch
from heliograph.dispatch.skip_reasons import SkipReason
from heliograph.orm.steps import Hold


def make_late(call: Call, handling: Handling | None, send: int | None, context: Context) -> Any:
    """Make a call under the context of its send, in its guard against re-entrancy.

    Observers see it as a part of the send with this number.
    """
    outer, scopes = current_context.get(), current() if watch else ()
    if outer is context and handling is None and not scopes:
        return call.make()
    if is_async(call.receiver):
        return _make_late_async(call, handling or nullcontext(), send, context)
    current_context.set(context)
    try:
        with handling or nullcontext():
            if not scopes:
                return call.make()
            return observed_call(scopes, call.payload, call.receiver, send, call.make)
    finally:
        current_context.set(outer)


async def _make_late_async(
    call: Call, handling: AbstractContextManager[None], send: int | None, context: Context
) -> Any:
    async def make() -> Any:
        response = call.make()
        return await response if isawaitable(response) else response

    scopes = current()
    with under(context), handling:
        if not scopes:
            return await make()
        return await observed_await(scopes, call.payload, call.receiver, send, make)


def skipped(call: Call, send: int | None, reason: SkipReason) -> Any:
    """Return SKIPPED for a call that is not made in the end, and let observers see it as a part of its send."""
    scopes = current() if watch else ()
    return ObservedSend(scopes, call.payload, send).skip(call.receiver, reason) if scopes else SKIPPED


async def awaited(response: Awaitable[Any]) -> Any:
    """Return what an async receiver returns."""
    return await response


def with_key(payload: dict[str, Any], primary_key: Any) -> dict[str, Any]:
    """Return a payload whose instance has the primary key that it had when it was sent.

    Django removes the key of an instance that is deleted, and projects remove it to save the instance as a copy.
    """
    if primary_key is None:
        return payload
    instance = rows.with_key(payload["instance"], primary_key)
    return payload if instance is payload["instance"] else {**payload, "instance": instance}


@dataclass(frozen=True)
class Awaiting(Fact):
    """The patches that make the end of a transaction known, held while a receiver waits for it."""

    holds: tuple[Hold, ...]


@dataclass(frozen=True, repr=False)
class Deferral:
    """How a call is made from a send for a policy that makes it later."""

    options: Options  # of the receiver; their facts keep the patches in place, also while a call waits

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> Call:
        call = self.options.call(receiver, payload)
        context = current_context.get()
        if context.is_open:
            context = context.pinned()
        key = key_of(payload.get("instance"))
        return DeferredCall(receiver, call.payload, call, self, key, current_call(), context)


@dataclass(frozen=True, slots=True)
class DeferredCall(Call):
    """A call that waits."""

    inner: Call
    deferral: Deferral
    primary_key: Any  # of the instance
    send: int | None  # the number under which observers know it
    context: Context  # of the send

    def make(self) -> Any:
        """Make the call, as the send would have."""
        payload = with_key(self.payload, self.primary_key)
        call = self.inner if payload is self.payload else replace(self.inner, payload=payload)
        is_guarded = self.deferral.options.reentrant != "allow" and payload.get("instance") is not None
        return make_late(call, Handling(self.receiver, payload) if is_guarded else None, self.send, self.context)
