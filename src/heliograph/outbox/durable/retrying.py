"""How often a delivery is attempted, and how long after an attempt the next one is due."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from heliograph.dispatch.option_errors import named_options
from heliograph.outbox.durable.durations import MOST, is_number

logger = logging.getLogger("heliograph.outbox")

Backoff = Callable[[int], float]


class RetryAfter(Exception):  # noqa: N818 - it is no error, and also a value that a receiver returns
    """A receiver raises or returns it to be attempted again after so many seconds, if an attempt is left.

    The attempt counts as failed. What the receiver has written is undone, unless its policy has `atomic=False`. Raises
    ValueError for seconds below 0 or above ten years.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = _duration("RetryAfter", seconds)

    def __str__(self) -> str:
        return f"The receiver asks for another attempt after {self.seconds:g} s"


class Snooze(Exception):  # noqa: N818 - the same
    """A receiver raises or returns it to be called again after so many seconds; the attempt does not count.

    What the receiver has written is undone, unless its policy has `atomic=False`. Raises ValueError for seconds below 0
    or above ten years.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = _duration("Snooze", seconds)

    def __str__(self) -> str:
        return f"The receiver asks for another call after {self.seconds:g} s"


class Discard(Exception):  # noqa: N818 - the same
    """A receiver raises or returns it where there is nothing left to do; the delivery is discarded with this reason.

    Raised, it undoes what the receiver has written, unless its policy has `atomic=False`; returned, it does not.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = str(reason)


@dataclass(frozen=True, slots=True)
class Exponential:
    """A backoff that grows by a factor with each attempt."""

    first: float
    factor: float
    most: float

    def __call__(self, attempt: int) -> float:
        try:
            return float(min(self.first * self.factor ** (attempt - 1), self.most))
        except OverflowError:
            return self.most

    def __repr__(self) -> str:
        return f"exponential(first={self.first:g}, factor={self.factor:g}, most={self.most:g})"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A backoff that is always the same."""

    seconds: float

    def __call__(self, attempt: int) -> float:
        return self.seconds

    def __repr__(self) -> str:
        return f"fixed({self.seconds:g})"


_USUAL = Exponential(1.0, 2.0, 3600.0)


@named_options
def exponential(first: float = 1.0, factor: float = 2.0, most: float = 3600.0) -> Exponential:
    """Return a backoff of `first` seconds after the first attempt, `factor` times as many after each, up to `most`.

    The defaults give 1, 2, 4, 8 ... seconds, up to an hour. Raises ValueError for a factor below 1, and for seconds
    below 0 or above ten years.
    """
    if not factor >= 1:
        raise ValueError(f"exponential(factor=...) is 1 or more, not {factor!r}.")
    return Exponential(_duration("exponential", first), float(factor), _duration("exponential", most))


@named_options
def fixed(seconds: float) -> Fixed:
    """Return a backoff of so many seconds after every attempt; ValueError for seconds below 0 or above ten years."""
    return Fixed(_duration("fixed", seconds))


@named_options
@dataclass(frozen=True, slots=True, repr=False)
class Retry:
    """How often a delivery is attempted, and when. Frozen.

    - `attempts`: how many attempts there are in all, from 1 to 32767. With the default backoff, eight take about two
      minutes.
    - `backoff`: a function of the number of the attempt that failed, 1 for the first, which returns seconds; such as
      `exponential()` or `fixed()`.
    - `jitter`: the part, from 0 to 1, by which the seconds are more or less at random, so that calls that failed
      together do not come back together.
    - `on` and `give_up_on`: a class of exceptions, or a tuple of classes. Another attempt follows an error of `on` that
      is none of `give_up_on`. A group of errors counts as the errors in it.

    Raises ValueError for a number out of its range, and TypeError for a backoff that is not callable or a class that is
    no exception.
    """

    attempts: int = 8
    backoff: Backoff = _USUAL
    jitter: float = 0.1
    on: tuple[type[BaseException], ...] = (BaseException,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or not 1 <= self.attempts <= 32767:
            raise ValueError(f"Retry(attempts=...) takes a number from 1 to 32767, not {self.attempts!r}.")
        if not callable(self.backoff):
            raise TypeError(f"Retry(backoff=...) takes exponential(), fixed() or a function, not {self.backoff!r}.")
        if not is_number(self.jitter, 0, 1):
            raise ValueError(f"Retry(jitter=...) takes a part from 0 to 1, not {self.jitter!r}.")
        for name in ("on", "give_up_on"):
            object.__setattr__(self, name, _classes(name, getattr(self, name)))

    def __repr__(self) -> str:
        given = [one.name for one in fields(self) if getattr(self, one.name) != one.default]
        return f"Retry({', '.join(f'{name}={_shown(getattr(self, name))}' for name in given)})"

    def is_due(self, error: BaseException, attempt: int) -> bool:
        """Return whether there is another attempt after one has failed with this error, or with this group of them."""
        errors = [error, *errors_in(error)]
        is_wanted = any(isinstance(one, self.on) for one in errors)
        return attempt < self.attempts and is_wanted and not any(isinstance(one, self.give_up_on) for one in errors)

    def seconds(self, attempt: int) -> float:
        """Return the seconds to the next attempt; the usual backoff decides if the given one fails."""
        try:
            seconds = float(self.backoff(attempt))
            if not math.isfinite(seconds):
                raise ValueError(f"A backoff returns seconds, not {seconds!r}.")
        except BaseException:  # a project's function must not stop the deliveries of other receivers
            logger.exception("The backoff %r failed after attempt %d", self.backoff, attempt)
            seconds = _USUAL(attempt)
        spread = random.uniform(-self.jitter, self.jitter) if self.jitter else 0
        return min(max(seconds * (1 + spread), 0.0), MOST)


def errors_in(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group and in the groups within it; none for an error that is no group."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from errors_in(one) if isinstance(one, BaseExceptionGroup) else [one]


def _classes(name: str, given: object) -> tuple[type[BaseException], ...]:
    """Return the classes of exceptions that an option names, of which one may be given by itself."""
    classes = given if isinstance(given, tuple | list) else (given,)
    for one in classes:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"Retry({name}=...) takes classes of exceptions, not {one!r}.")
    return tuple(classes)


def _shown(value: Any) -> str:
    """Return a value as it was written."""
    if isinstance(value, tuple):
        return f"({', '.join(one.__qualname__ for one in value)},)"
    return repr(value)


def _duration(name: str, seconds: object) -> float:
    if not is_number(seconds, 0, MOST):
        raise ValueError(f"{name}() takes seconds, from 0 to ten years of them, not {seconds!r}.")
    return float(seconds)
