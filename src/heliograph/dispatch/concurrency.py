"""Concurrency: how the async receivers of one send run beside each other, and beside the sync ones."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from typing import Any, Protocol

Coroutines = Sequence[Coroutine[Any, Any, Any]]
_ABSENT = object()


class Concurrency(Protocol):
    """The order in which sync and async receivers run: each version of Django keeps its own."""

    async def together(self, coroutines: Coroutines) -> list[Any]:
        """Run async receivers, and return their responses in order."""

    async def both(self, sync: Callable[[], Awaitable[list[Any]]], coroutines: Coroutines) -> list[Any]:
        """Run the sync and the async receivers, and return the responses of both, in this order."""


class InTurn:
    """Django 6.1: the sync receivers first, then the async ones in tasks that share one context."""

    async def together(self, coroutines: Coroutines) -> list[Any]:
        """Run these in one context; what they set in it, the sender sees.

        When one raises, the others are cancelled. One exception is raised as it is, several as a group.
        """
        if len(coroutines) < 2:  # it runs in the sender's own task and context, without a switch
            return [await coroutine for coroutine in coroutines]
        context = copy_context()
        try:
            return await _all_done(_all_begun(coroutines, context))
        finally:
            _restore(context)

    async def both(self, sync: Callable[[], Awaitable[list[Any]]], coroutines: Coroutines) -> list[Any]:
        """Run the sync ones, then the async ones."""
        try:
            responses = await sync()
        except BaseException:
            for coroutine in coroutines:
                coroutine.close()
            raise
        return responses + await self.together(coroutines)


class Overlapping:
    """Django 5.2 and 6.0: all at once under asyncio.gather(), each in a copy of the context."""

    async def together(self, coroutines: Coroutines) -> list[Any]:
        """Run these at once; the first exception is raised, and the others run on."""
        return await asyncio.gather(*coroutines)

    async def both(self, sync: Callable[[], Awaitable[list[Any]]], coroutines: Coroutines) -> list[Any]:
        """Run the sync ones, in their thread, while the async ones run."""
        first, rest = await asyncio.gather(sync(), asyncio.gather(*coroutines))
        return first + rest


if sys.version_info >= (3, 12):  # pragma: python>=3.12

    def _begun(coroutine: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        # Eager: a receiver that never waits is done here, and the event loop does not run in between.
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), context=context, eager_start=True)

else:  # pragma: python<3.12

    def _begun(coroutine: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(coroutine, context=context)


def _all_begun(coroutines: Coroutines, context: Context) -> list[asyncio.Task[Any]]:
    tasks: list[asyncio.Task[Any]] = []
    try:
        for coroutine in coroutines:
            tasks.append(_begun(coroutine, context))  # noqa: PERF401 - those that have begun are needed below
    except BaseException:  # pragma: python>=3.12 - KeyboardInterrupt and SystemExit leave an eager task at once
        for task in tasks:
            task.cancel()
        for coroutine in coroutines[len(tasks) + 1 :]:
            coroutine.close()
        raise
    return tasks


async def _all_done(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    """Wait for tasks, and return their results; when one fails or the caller is cancelled, the rest is cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        if cancelled or any(_has_failed(task) for task in tasks):
            for task in waiting:
                task.cancel()
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError as by_the_sender:
            cancelled = by_the_sender
    failures = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
    if len(failures) > 1:
        raise BaseExceptionGroup("several async receivers raised", failures)
    if failures:
        raise failures[0]
    if cancelled:
        raise cancelled
    return [task.result() for task in tasks]


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _restore(context: Context) -> None:
    """Set in the current context what was set in another one; values are compared by identity: some raise at `==`."""
    for variable, value in context.items():
        if variable.get(_ABSENT) is not value:
            variable.set(value)


def concurrency_of(signal: Any) -> Concurrency:
    """Return the concurrency of a signal; a signal that another dispatcher runs has none of its own."""
    contract: Concurrency = getattr(signal, "_concurrency", _USUAL)
    return contract


_USUAL = InTurn()
