"""How long a delivery may run before it is reported, and an async receiver before it is cancelled."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from threading import Timer
from typing import Any

from heliograph.outbox.durable.durations import Limit, seconds_of
from heliograph.outbox.work.thread_connections import close_connections


class GaveUpError(Exception):
    """An async receiver took longer than its `give_up_after`, and was cancelled."""


@contextmanager
def reported(limit: Limit, report: Callable[[], object]) -> Iterator[None]:
    """Call a function in another thread, with the observers of this one, if the block takes longer than the limit."""
    seconds = seconds_of(limit)
    if seconds is None:
        yield
        return
    timer = Timer(seconds, copy_context().run, [_reporting, report])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reporting(report: Callable[[], object]) -> None:
    try:
        report()
    finally:
        close_connections()  # which an observer has opened, in a thread that ends here


async def within(limit: Limit, response: Awaitable[Any]) -> Any:
    """Return what an async receiver returns; raise GaveUpError where it takes longer than the limit."""
    timeout = asyncio.timeout(seconds_of(limit))
    try:
        async with timeout:
            return await response
    except TimeoutError as error:
        if timeout.expired():
            raise GaveUpError(f"It took longer than give_up_after={limit!r}, and was cancelled") from error
        raise


def stack_of(thread: int) -> str:
    """Return the stack of a thread, as a traceback shows it."""
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)).rstrip() if frame else "nowhere any more"
