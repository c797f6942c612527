"""A delivery leaves nothing for the next one in its thread, such as a language that a receiver has activated."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from decimal import localcontext
from typing import TypeVar

from django.core.cache import caches

T = TypeVar("T")


def isolated(function: Callable[[], T]) -> T:
    """Call a function in a copy of the context, where Django keeps the language and the time zone.

    `activate("de")` by one receiver would otherwise translate the mails of all that follow it.
    """
    _make_caches()
    return copy_context().run(_with_own_decimals, function)


def _with_own_decimals(function: Callable[[], T]) -> T:
    with localcontext():  # `getcontext().prec = 5` changes an object that the copy of the context would share
        return function()


def _make_caches() -> None:
    """Let all attempts of a thread share the caches, which Django keeps in the context with their connections."""
    for alias in caches:
        with suppress(Exception):  # of wrong settings: a receiver that uses the cache gets the error
            _ = caches[alias]
