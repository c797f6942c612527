"""Calling a function that a test gives to a proof: a function, or a coroutine function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from asgiref.sync import async_to_sync


def call_path(function: Callable[[], Any]) -> None:
    """Call a function, and wait for what it returns if that is a coroutine."""
    response = function()
    if isawaitable(response):
        async_to_sync(_awaited)(response)


async def _awaited(response: Awaitable[Any]) -> None:
    await response
