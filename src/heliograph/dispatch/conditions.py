"""Conditions: frozen values that decide from its payload whether a call is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.dispatch.describe import qualified_name

Payload = Mapping[str, Any]


class Condition:
    """A question about one send; combine questions with `&`, `|` and `~`."""

    def holds(self, payload: Payload) -> bool:
        """Answer for a send with this payload, which includes `sender` and `signal`."""
        raise NotImplementedError(f"{type(self).__name__} must define holds(payload).")

    def __and__(self, other: Condition | Callable[..., object]) -> Condition:
        """Hold where both hold; the right side is asked only if the left one holds."""
        return Both(self, condition(other))

    def __or__(self, other: Condition | Callable[..., object]) -> Condition:
        """Hold where at least one holds; the right side is asked only if the left one does not."""
        return Either(self, condition(other))

    def __invert__(self) -> Condition:
        """Hold where this one does not."""
        return Not(self)


@dataclass(frozen=True, repr=False)
class Predicate(Condition):
    """A condition that is a function of the user's, called with the payload as keywords."""

    function: Callable[..., object]

    def holds(self, payload: Payload) -> bool:
        return bool(self.function(**payload))

    def __repr__(self) -> str:
        return qualified_name(self.function).rpartition(".")[2]


@dataclass(frozen=True, repr=False)
class Both(Condition):
    """Two conditions of which both must hold."""

    left: Condition
    right: Condition

    def holds(self, payload: Payload) -> bool:
        return self.left.holds(payload) and self.right.holds(payload)

    def __repr__(self) -> str:
        return " & ".join(f"({side!r})" if isinstance(side, Either) else repr(side) for side in (self.left, self.right))


@dataclass(frozen=True, repr=False)
class Either(Condition):
    """Two conditions of which one must hold."""

    left: Condition
    right: Condition

    def holds(self, payload: Payload) -> bool:
        return self.left.holds(payload) or self.right.holds(payload)

    def __repr__(self) -> str:
        return f"{self.left!r} | {self.right!r}"


@dataclass(frozen=True, repr=False)
class Not(Condition):
    """A condition turned round."""

    inner: Condition

    def holds(self, payload: Payload) -> bool:
        return not self.inner.holds(payload)

    def __repr__(self) -> str:
        return f"~({self.inner!r})" if isinstance(self.inner, Both | Either) else f"~{self.inner!r}"


def condition(value: Condition | Callable[..., object]) -> Condition:
    """Return the condition that `value` is, or the one that calls it.

    Raises TypeError for a value that is neither a condition nor callable.
    """
    if isinstance(value, Condition):
        return value
    if callable(value):
        return Predicate(value)
    raise TypeError(f"when= takes a condition or a function of the payload, not {value!r}. Pass e.g. when=is_paid.")
