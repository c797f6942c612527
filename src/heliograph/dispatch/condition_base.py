"""Conditions: frozen values that decide, from the payload of a send, whether a receiver is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from heliograph.dispatch.describe import qualified_name
from heliograph.dispatch.skip_reasons import Tested
from heliograph.dispatch.verification import verify_asked, verify_function

Payload = Mapping[str, Any]


class Target(NamedTuple):
    """The signal and the sender that a receiver is connected to, with the facts about the signal; None is every sender.

    The facts are looked up once, where the target is made: a catalogue, which is above the dispatcher, has an entry for
    each signal of Django.
    """

    signal: Any
    sender: Any
    subclasses: bool
    entry: Any  # the entry of the catalogue; None for a signal of the user's own
    carries: Sequence[str] | None  # the names that the signal sends; None where nobody has said so
    is_exact: bool  # whether the signal sends no other names: servers send more with the signals of a request


class Condition:
    """The base class of conditions, for `when=`: a question about one send.

    Conditions combine with `&`, `|` and `~`, also with plain functions of the payload. `and`, `or` and `not` raise
    TypeError, because Python would answer them without asking. A subclass defines `holds()`, and may define
    `connected()`:

        class IsWeekend(Condition):
            def holds(self, payload):
                return date.today().weekday() >= 5
    """

    def holds(self, payload: Payload) -> bool:
        """Return whether the condition holds for a send with this payload, which includes `sender` and `signal`.

        A subclass defines this method; the base class raises NotImplementedError.
        """
        raise NotImplementedError(f"{type(self).__name__} must define holds(payload).")

    def test(self, payload: Payload, found: list[Tested]) -> bool:
        """Return what `holds` returns, and add each part that was asked, with its answer, to a list.

        No part is asked more often than by `holds`.
        """
        holds = bool(self.holds(payload))
        found.append(Tested(self, holds))
        return holds

    def evidence(self, payload: Payload) -> object:
        """Return the values that have decided, for people to read; None if the answer says it all."""
        return None

    def connected(self, target: Target) -> Condition:
        """Return the condition that is asked at a target, which has the `signal` and the `sender` of a connection.

        It is called once, when a receiver is connected, and returns the condition itself unless a subclass defines it.
        The result lives as long as the connection. Raises TypeError or ValueError where the question makes no sense.
        """
        if type(self).holds is Condition.holds:
            self.holds({})  # it raises an error that says what to do
        return self

    def leaves(self) -> Iterator[Condition]:
        """Yield the conditions of which this one is made; a condition that is not combined yields itself."""
        yield self

    def __bool__(self) -> bool:
        """Raise TypeError, because `and`, `or` and `not` would silently drop one of the conditions."""
        raise TypeError(
            f"{self!r} has no truth value: it is asked at each send."
            " Combine conditions with &, | and ~, not with 'and', 'or' and 'not'."
        )

    if not TYPE_CHECKING:

        def __call__(self, *args, **options):
            """Raise TypeError, because a condition is passed without a call, as in `when=created`."""
            raise TypeError(f"{self!r} is a condition already: write when={self!r}, without the brackets behind it.")

    def __and__(self, other: Condition | Callable[..., object]) -> Condition:
        """Hold where both hold; the right side is asked only if the left one holds."""
        return Both(self, condition(other))

    def __or__(self, other: Condition | Callable[..., object]) -> Condition:
        """Hold where at least one holds; the right side is asked only if the left one does not."""
        return Either(self, condition(other))

    def __rand__(self, other: Callable[..., object]) -> Condition:
        return Both(condition(other), self)

    def __ror__(self, other: Callable[..., object]) -> Condition:
        return Either(condition(other), self)

    def __invert__(self) -> Condition:
        """Hold where this one does not."""
        return Not(self)


@dataclass(frozen=True, repr=False)
class Predicate(Condition):
    """A function that the user passes as a condition; it is called with the payload as keywords."""

    function: Callable[..., object]

    def holds(self, payload: Payload) -> bool:
        return bool(self.function(**payload))

    def connected(self, target: Target) -> Condition:
        verify_asked(self.function, target)
        return self

    def __repr__(self) -> str:
        return qualified_name(self.function).rpartition(".")[2]


@dataclass(frozen=True, repr=False)
class Pair(Condition):
    """The base of a condition that is made of two."""

    left: Condition
    right: Condition

    def connected(self, target: Target) -> Condition:
        return replace(self, left=self.left.connected(target), right=self.right.connected(target))

    def leaves(self) -> Iterator[Condition]:
        yield from self.left.leaves()
        yield from self.right.leaves()


class Both(Pair):
    """The condition `left & right`: both conditions hold."""

    def holds(self, payload: Payload) -> bool:
        return self.left.holds(payload) and self.right.holds(payload)

    def test(self, payload: Payload, found: list[Tested]) -> bool:
        return self.left.test(payload, found) and self.right.test(payload, found)

    def __repr__(self) -> str:
        return " & ".join(f"({side!r})" if isinstance(side, Either) else repr(side) for side in (self.left, self.right))


class Either(Pair):
    """The condition `left | right`: at least one of the conditions holds."""

    def holds(self, payload: Payload) -> bool:
        return self.left.holds(payload) or self.right.holds(payload)

    def test(self, payload: Payload, found: list[Tested]) -> bool:
        return self.left.test(payload, found) or self.right.test(payload, found)

    def __repr__(self) -> str:
        return f"{self.left!r} | {self.right!r}"


@dataclass(frozen=True, repr=False)
class Not(Condition):
    """The condition `~inner`: the condition `inner` does not hold."""

    inner: Condition

    def holds(self, payload: Payload) -> bool:
        return not self.inner.holds(payload)

    def test(self, payload: Payload, found: list[Tested]) -> bool:
        return not self.inner.test(payload, found)

    def connected(self, target: Target) -> Condition:
        return Not(self.inner.connected(target))

    def leaves(self) -> Iterator[Condition]:
        return self.inner.leaves()

    def __repr__(self) -> str:
        return f"~({self.inner!r})" if isinstance(self.inner, Both | Either) else f"~{self.inner!r}"


def condition(value: Any) -> Condition:
    """Return the value if it is a `Condition`, or else a condition that calls it.

    Raises TypeError or ValueError for a value that is neither a condition nor a function that can be one.
    """
    if isinstance(value, Condition):
        return value
    if isinstance(value, type) and issubclass(value, Condition):
        raise TypeError(f"when= takes a condition, not a class of them: write when={value.__qualname__}(...).")
    if callable(value):
        verify_function("when=", value)
        return Predicate(value)
    raise TypeError(
        "when= takes a condition, such as created, changed('status') or has(status='paid'), or a function of what is"
        f" sent, such as lambda instance, **kwargs: ..., not {value!r}.{_hint(value)}"
    )


def _hint(value: Any) -> str:
    if isinstance(value, str):
        return " A condition is written without quotes."
    return " Combine conditions with & or |." if isinstance(value, list | tuple | set) else ""
