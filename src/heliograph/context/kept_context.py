"""The context of work, as a frozen value, and the context variable that has the current one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from heliograph.context.actors import Actor, UserActor
from heliograph.context.declared import not_declared


@dataclass(frozen=True, slots=True)
class Context:
    """The facts about who does something, why, and which request, command or cause it belongs to. Frozen.

    - `actor`, `reason` and `request_id`: as `acting()`, `context` or the middleware gave them; a text is "" if nobody
      did.
    - `correlation_id`: a text that several requests and deliveries have in common.
    - `command`: the management command that the process was started for.
    - `traceparent`: the trace and the span, as W3C Trace Context writes them; `parent` is the traceparent of the cause,
      and `links` has the traceparents of the other causes, if a batch has several.

    Values that the project has declared are attributes too: `current().tenant` is None where nobody has given one.
    """

    by: Any = None  # the actor, perhaps as a user that is not loaded yet: ask for `actor`
    reason: str = ""
    request_id: str = ""
    correlation_id: str = ""  # what several requests and deliveries have in common
    command: str = ""  # the management command that the process was started for
    traceparent: str = ""  # the trace and the span, as W3C Trace Context has them
    parent: str = ""  # the traceparent of the cause
    links: tuple[str, ...] = ()  # the traceparents of the other causes, if a batch has several
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)  # what the project has declared
    # Whether `by` changes in this context, as by login() and logout() in a request.
    is_open: bool = field(default=False, compare=False, repr=False)

    @property
    def actor(self) -> Actor | None:
        """The `Actor`; None for nobody, and for a user who is not logged in."""
        by = self.pinned().by
        return by.actor() if isinstance(by, UserActor) else by

    def pinned(self) -> Context:
        """Return the context with the actor that it has now, for a call that is made later."""
        return self.by.pinned(self) if self.is_open else self

    def __getattr__(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        return not_declared(name)


#: The `Context` in which nothing is known.
EMPTY = Context()
current_context: ContextVar[Context] = ContextVar("heliograph_context", default=EMPTY)


def current() -> Context:
    """Return the `Context` of the running code; `EMPTY` where nobody has set one."""
    return current_context.get().pinned()


@contextmanager
def under(context: Context) -> Iterator[Context]:
    """Let a context be the current one in a block."""
    outer = current_context.get()
    current_context.set(context)
    try:
        yield context
    finally:
        current_context.set(outer)
