"""Extremes: a stored maximum or minimum, when children with some values are added and others are removed.

A stored maximum is at least as great as each removed value. If an added value is greater than all removed values, the
new maximum is the added value or the stored one, whichever is greater. Otherwise the stored one stays if it is greater
than all removed values. If it equals a removed value, it may be gone, and a query asks the children.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Aggregate, Case, F, Max, Q, When


class Comings:
    """By how much the number of children with each value has grown, or shrunk; they are added up like numbers."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Counter[Any]) -> None:
        self.numbers = numbers

    def __add__(self, other: Any) -> Comings:
        return Comings(Counter(self.numbers)).__iadd__(other)

    __radd__ = __add__

    def __iadd__(self, other: Any) -> Comings:
        """Add in place, because a batch may have many values; 0 is nothing to add."""
        for value, number in other.numbers.items() if isinstance(other, Comings) else ():
            self.numbers[value] += number
        return self

    def __rmul__(self, times: int) -> Comings:
        return Comings(Counter({value: times * number for value, number in self.numbers.items()}))

    def __neg__(self) -> Comings:
        return self.__rmul__(-1)

    def __sub__(self, other: Any) -> Comings:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> Comings:
        return (-self).__iadd__(other)

    def __bool__(self) -> bool:
        return any(self.numbers.values())


def coming(value: Any) -> Comings | int:
    """Return what one child adds: its value; nothing if that is NULL."""
    return 0 if value is None else Comings(Counter((value,)))


@dataclass(frozen=True)
class Growth:
    """The stored value becomes this one, if it is not beyond it."""

    value: Any


@dataclass(frozen=True)
class Loss:
    """The stored value stays if it is beyond this one, and is computed anew if it is not."""

    value: Any


@dataclass(frozen=True)
class Extreme:
    """The order in which values of an aggregate are compared."""

    is_beyond: Callable[[Any, Any], bool]
    best: Callable[..., Any]
    beyond: str  # the lookup
    short_of: str

    def outcome(self, comings: Comings) -> Growth | Loss:
        """Return what comes and goes means for the stored value; something has come or gone."""
        gained = self.best((value for value, number in comings.numbers.items() if number > 0), default=None)
        lost = self.best((value for value, number in comings.numbers.items() if number < 0), default=None)
        grows = lost is None or (gained is not None and self.is_beyond(gained, lost))
        return Growth(gained) if grows else Loss(lost)

    def grown(self, field: Any, value: Any) -> Case:
        """Return the value of an UPDATE: the stored one, or this one if it is beyond that; NULL counts as nothing."""
        is_short = Q(**{f"{field.name}__isnull": True}) | Q(**{f"{field.name}__{self.short_of}": value})
        return Case(When(is_short, then=value), default=F(field.name), output_field=field)

    def shrunk(self, field: Any, value: Any, recounted: Any) -> Case:
        """Return the value of an UPDATE: the stored one, or the one that is computed anew if this one may be that."""
        is_beyond = Q(**{f"{field.name}__{self.beyond}": value})
        return Case(When(is_beyond, then=F(field.name)), default=recounted, output_field=field)


_GREATEST = Extreme(operator.gt, max, "gt", "lt")
_LEAST = Extreme(operator.lt, min, "lt", "gt")


def extreme_of(aggregate: Aggregate) -> Extreme:
    """Return the order of a Max or a Min."""
    return _GREATEST if isinstance(aggregate, Max) else _LEAST
