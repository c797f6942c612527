"""Isolation: what a receiver sets for its thread does not reach the next delivery of that thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from decimal import localcontext
from typing import TypeVar

from django.core.cache import caches

T = TypeVar("T")


def isolated(function: Callable[[], T]) -> T:
    """Call a function in a copy of the context, which has the language and the time zone of Django, `mute()` and more.

    `activate("de")` by one receiver would otherwise translate the mails of all that follow it.
    """
    _make_caches()
    return copy_context().run(_with_own_decimals, function)


def _with_own_decimals(function: Callable[[], T]) -> T:
    with localcontext():  # the copy of a context refers to the same object, which `getcontext().prec = 5` changes
        return function()


def _make_caches() -> None:
    """Let all attempts of a thread have the same caches: Django keeps them in the context, with their connections."""
    for alias in caches:
        with suppress(Exception):  # of settings that are wrong, which whoever uses this cache hears of
            _ = caches[alias]
