"""Attempts as events: what is called and queried in an attempt knows that it is a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from heliograph.context.kept_context import current_context
from heliograph.dispatch.observed_calls import current_call, inside, new_number, notify
from heliograph.dispatch.observed_events import Ended
from heliograph.dispatch.scopes import current, watch
from heliograph.outbox.delivery_rows import Claim
from heliograph.outbox.events import Delivering


@contextmanager
def observed_attempt(claim: Claim) -> Iterator[None]:
    """Let scopes observe when an attempt begins and ends, under its context."""
    scopes = current() if watch else ()
    if not scopes:
        yield
        return
    number, began = new_number(), perf_counter()
    notify(scopes, Delivering(claim, current_context.get(), number, current_call()))
    try:
        with inside(number):
            yield
    finally:
        notify(scopes, Ended(number, perf_counter() - began))
