"""How often something has happened, compared with the number of times that a test asserts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heliograph.testing.matching import Wanted, lines_of
from heliograph.testing.verified_arguments import verify_times

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True


def verify_count(
    subject: str, verb: str, wanted: Wanted, count: int, times: int | None, listing: Iterable[str]
) -> None:
    """Raise AssertionError unless something has happened as often as asked: once at least, if `times` is None.

    `listing` is read only then: the text of an instance may make queries.
    Raises TypeError or ValueError for what is no number of times above zero.
    """
    verify_times(times)
    if count == times or (count and times is None):
        return
    if times is None:
        raise failure(f"{subject} was not {verb}{wanted}.", listing)
    raise failure(f"{subject} was {verb} {_often(count)}{wanted}, not {_often(times)}.", listing)


def verify_none(subject: str, verb: str, wanted: Wanted, matching: Sequence[object]) -> None:
    """Raise AssertionError if something has happened, which is listed."""
    if matching:
        raise failure(f"{subject} was {verb} {_often(len(matching))}{wanted}:", lines_of(matching))


def failure(sentence: str, listing: Iterable[str]) -> AssertionError:
    """Return the error of a failed assertion: a sentence, and the lines about what was there."""
    return AssertionError("\n".join([sentence, *listing]))


def section(heading: str, lines: Sequence[str]) -> list[str]:
    """Return lines below a heading; nothing if there are none."""
    return [heading, *lines] if lines else []


def _often(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
