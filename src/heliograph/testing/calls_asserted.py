"""Assertions about calls: which receivers were called, for which sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from heliograph.catalogue import title
from heliograph.dispatch import Called
from heliograph.dispatch.describe import full_name
from heliograph.testing.counted import section, verify_count, verify_none
from heliograph.testing.kept_events import KeptEvents
from heliograph.testing.matching import Found, Wanted, nearest_first
from heliograph.testing.uncalled import reasons
from heliograph.testing.verified_arguments import verify_receiver

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

Receiver = Callable[..., Any]


def assert_called(kept: KeptEvents, receiver: Receiver, wanted: Wanted, times: int | None) -> Called:
    """Return the first call of a receiver with the wanted values; AssertionError says why it was not called."""
    verify_receiver(receiver, "assert_called()")
    calls = kept.calls_of(receiver)
    matching = [one for one in calls if wanted.matches(_found_in(one))]
    verify_count(full_name(receiver), "called", wanted, len(matching), times, _listing(kept, receiver, wanted))
    return matching[0]


def assert_not_called(kept: KeptEvents, receiver: Receiver, wanted: Wanted) -> None:
    """Raise AssertionError, which lists the calls, if a receiver was called with the unwanted values."""
    verify_receiver(receiver, "assert_not_called()")
    calls = [found for one in kept.calls_of(receiver) if wanted.matches(found := _found_in(one))]
    verify_none(full_name(receiver), "called", wanted, calls)


def _listing(kept: KeptEvents, receiver: Receiver, wanted: Wanted) -> Iterator[str]:
    """Yield lines about the calls of a receiver, and about the sends that have not called it."""
    calls = map(_found_in, kept.calls_of(receiver))
    yield from section("It was called, the nearest first:", nearest_first(calls, wanted))
    yield from section("It was not called:", reasons(kept, receiver))


def _found_in(called: Called) -> Found:
    return Found(f"for {title(called.signal)}", called.sender, called.payload)
