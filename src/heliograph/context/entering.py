"""Blocks and functions under a context: `acting`, `context`, and `carried` for threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import replace
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, TypeVar

from heliograph.context.actors import acting_as
from heliograph.context.declared import GIVEN, declare, verified_text, verified_value
from heliograph.context.kept_context import EMPTY, Context, current, current_context, under
from heliograph.context.trace_ids import own_trace, verified_trace

F = TypeVar("F", bound=Callable[..., Any])

# The contexts around the blocks that are entered here, the innermost last.
_outer: ContextVar[tuple[Context, ...]] = ContextVar("heliograph_outer_contexts", default=())


class Block:
    """A `with` block under another context, or a decorator; it nests, and ends with the context that was before."""

    def inside(self, outer: Context) -> Context:
        """Return the context of the block, inside another one."""
        raise NotImplementedError

    def __enter__(self) -> Context:
        outer = current_context.get()
        inner = self.inside(outer)
        _outer.set((*_outer.get(), outer))
        current_context.set(inner)
        return inner

    def __exit__(self, *error: object) -> None:
        *others, outer = _outer.get() or (EMPTY,)  # a fixture may be left in another task than it was entered in
        _outer.set((*others,))
        current_context.set(outer)

    def __call__(self, function: F) -> F:
        """Return the function with this block around each call of it."""
        return within(function, lambda: self)


class acting(Block):  # noqa: N801 - it is used like a function
    """A context manager and decorator that names who acts in a block or a function, and why.

        with acting(user, reason="import"):
            order.save()

    The user is an object of the model of users, lazy as `request.user` or not; None for nobody; or a text for an actor
    that is no user, such as "cron". Without a reason, the reason of the block around it stays. It decorates async
    functions too.

    Raises TypeError for an object that is no user, and ValueError for a user that is not saved.
    """

    def __init__(self, user: Any, *, reason: str | None = None) -> None:
        self._actor = acting_as(user)
        self._reason = None if reason is None else verified_text("reason", reason, "acting")

    def inside(self, outer: Context) -> Context:
        reason = outer.reason if self._reason is None else self._reason
        return replace(
            outer, by=self._actor, reason=reason, is_open=False, traceparent=outer.traceparent or own_trace()
        )


class context(Block):  # noqa: N801 - it is used like a function
    """A context manager and decorator that gives values to the `Context` of a block or a function.

        with context(correlation_id="import-7", tenant="a"):
            import_orders()

    It takes `reason`, `request_id`, `correlation_id`, `traceparent`, and the names that `context.declare()` has
    declared. `context.current()` is `current()`. It decorates async functions too.

    Raises TypeError for other names, and for values of a wrong type.
    """

    def __init__(self, **values: Any) -> None:
        self._given = {name: verified_text(name, value) for name, value in values.items() if name in GIVEN}
        self._values = {name: verified_value(name, value) for name, value in values.items() if name not in GIVEN}
        if "traceparent" in values:
            self._given["traceparent"] = verified_trace(values["traceparent"])

    def inside(self, outer: Context) -> Context:
        values = {**outer.values, **self._values} if self._values else outer.values
        given: dict[str, Any] = {"traceparent": outer.traceparent or own_trace(), **self._given}
        return replace(outer, **given, values=values)

    declare = staticmethod(declare)
    current = staticmethod(current)

    @staticmethod
    def carried(function: F) -> F:
        """Return a function that calls this one under the context of this moment, for a thread or an executor.

        The function may be async. Raises TypeError for a class or a generator, whose code would run after the call.
        """
        kept = current()
        return within(function, lambda: under(kept))


def within(function: F, block: Callable[[], AbstractContextManager[Any]]) -> F:
    """Return a function with a block around each call; TypeError for a function that would run outside of the block."""
    if isinstance(function, type) or isgeneratorfunction(function) or isasyncgenfunction(function):
        raise TypeError(
            f"{function!r} runs after the call that makes it has returned: put `with` into it, or decorate what it"
            " calls."
        )
    if iscoroutinefunction(function):

        @wraps(function)
        async def within_async(*args: Any, **kwargs: Any) -> Any:
            with block():
                return await function(*args, **kwargs)

        return within_async  # type: ignore[return-value]

    @wraps(function)
    def within(*args: Any, **kwargs: Any) -> Any:
        with block():
            return function(*args, **kwargs)

    return within  # type: ignore[return-value]
