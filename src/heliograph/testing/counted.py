"""How often something has happened, compared with the number of times that a test asserts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from heliograph.dispatch.describe import full_name
from heliograph.testing.matching import Wanted, lines_of

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True


def verify_count(
    subject: str, verb: str, wanted: Wanted, count: int, times: int | None, listing: Iterable[str]
) -> None:
    """Raise AssertionError unless something has happened as often as asked: once at least, if `times` is None.

    `listing` is read only then: the text of an instance may make queries.
    Raises ValueError for a number of times that is not above zero.
    """
    if times is not None and times < 1:
        raise ValueError(f"times={times!r} asserts that nothing happens: take the assertion with `not` in its name.")
    if count == times or (count and times is None):
        return
    if times is None:
        raise failure(f"{subject} was not {verb}{wanted}.", listing)
    raise failure(f"{subject} was {verb} {_often(count)}{wanted}, not {_often(times)}.", listing)


def verify_none(subject: str, verb: str, wanted: Wanted, matching: Sequence[object]) -> None:
    """Raise AssertionError if something has happened, which is listed."""
    if matching:
        raise failure(f"{subject} was {verb} {_often(len(matching))}{wanted}:", lines_of(matching))


def receiver_name(receiver: Any) -> str:
    """Return the name of a receiver; raise TypeError for what is none, of which nothing would ever be found."""
    if not callable(receiver):
        raise TypeError(f"An assertion about a receiver takes the receiver itself, not {receiver!r}. Import it.")
    return full_name(receiver)


def failure(sentence: str, listing: Iterable[str]) -> AssertionError:
    """Return the error of a failed assertion: a sentence, and the lines about what was there."""
    return AssertionError("\n".join([sentence, *listing]))


def section(heading: str, lines: Sequence[str]) -> list[str]:
    """Return lines below a heading; nothing if there are none."""
    return [heading, *lines] if lines else []


def _often(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
