"""Redelivering: each delivery that a function causes is made twice, and the states after each time are compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from heliograph.dispatch.describe import describe
from heliograph.flow.effects.seen_effects import Effect, recording
from heliograph.flow.effects.watching_effects import watched_effects
from heliograph.outbox.durable.retrying import RetryAfter
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, HandedBack, Outcome
from heliograph.testing.called_paths import call_path
from heliograph.testing.left_behind import LeftBehind, left_behind
from heliograph.testing.lost_attempts import Claimed, claimed
from heliograph.testing.matching import text_of
from heliograph.testing.repeated_effects import repeated
from heliograph.testing.usable_databases import usable_databases
from heliograph.testing.verified_arguments import verify_ignored, verify_path

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True


@dataclass(frozen=True, slots=True)
class Redelivered:
    """A delivery that was made twice: its `receiver`, and the `differences` as lines about the second time."""

    receiver: Callable[..., Any]
    differences: tuple[str, ...]  # what the second time has changed


def redelivered(
    function: Callable[[], Any],
    /,
    *,
    by_hand: bool = False,
    also: Callable[[], Any] = lambda: None,
    ignoring: Collection[Any] = (),
    raising: bool = True,
    using: str = DEFAULT_DB_ALIAS,
) -> list[Redelivered]:
    """Prove that durable receivers may be called twice: run a function, and make each delivery that it causes twice.

        redelivered(lambda: Order.objects.create())

    The first time, the worker dies after the work and before its record: what the receiver has written in the
    transaction of its delivery is undone, and all else stays. Rows, files, caches, mails, requests and programs are
    compared after the first and after the second time. Mails and caches of receivers are held. A `Redelivered` for each
    delivery is returned.

    - `by_hand`: the first time is a success, which somebody redelivers.
    - `also`: a function that returns what else is compared.
    - `ignoring`: a list of models, fields such as "shop.Order.seen_at", and receivers that may differ.
    - `using`: the alias of the database.

    AssertionError lists what has changed, unless `raising=False`; it is raised too if the function has caused no
    delivery. An exception of the function, or of a receiver in its first attempt, is raised.
    """
    verify_path(function, "redelivered()")
    verify_path(also, "also=")
    verify_ignored(ignoring)
    proof = _Proof(using, by_hand, also, ignoring)
    before = proof.due()
    call_path(function)
    found = [*proof.made_twice(before)]
    if raising:
        _verify(found, using)
    return found


@dataclass(frozen=True)
class _Proof:
    """Makes deliveries twice, and compares."""

    using: str
    by_hand: bool
    also: Callable[[], Any]
    ignoring: Collection[Any]

    def due(self) -> set[int]:
        """Return the ids of the deliveries that wait."""
        waiting = Delivery.objects.using(self.using).filter(state=State.READY)
        return set(waiting.values_list("pk", flat=True))

    def made_twice(self, before: set[int]) -> Iterator[Redelivered]:
        """Make all deliveries twice that wait now and did not wait before, also those that receivers cause."""
        seen = set(before)
        while new := sorted(self.due() - seen):
            seen.update(new)
            for number in new:
                one = claimed(self.using, number)
                if one is not None:
                    yield self._redelivered(one)

    def _redelivered(self, one: Claimed) -> Redelivered:
        differences = tuple(self._differences(one))
        return Redelivered(one.receiver, () if one.receiver in self.ignoring else differences)

    def _differences(self, one: Claimed) -> list[str]:
        """Make a delivery twice, and return what the second time has changed."""
        if not self.by_hand and one.durable.policy.retry.attempts == 1:  # it is dead when its worker has died
            _raise_error(one.make())
            return []
        with watched_effects() as effects:
            self._make_first(one)
            first = [*effects]
            once = self._left(one, effects)
            outcome = _second(one)
            twice = self._left(one, effects)
        return [*_failure(outcome), *once.differences(twice), *repeated(first, effects[len(first) :])]

    def _make_first(self, one: Claimed) -> None:
        if self.by_hand:
            _raise_error(one.make())
            one.redeliver()
        else:
            one.make_and_die()

    def _left(self, one: Claimed, effects: list[Effect]) -> LeftBehind:
        """Return what is there now, without the database whose transaction the death of a worker undoes."""
        undone = {self.using} if one.durable.policy.atomic and not self.by_hand else set()
        aliases = [alias for alias in usable_databases() if alias not in undone]
        with recording(None):
            return left_behind(aliases, effects, self.also, self.ignoring)


def _second(one: Claimed) -> Outcome | None:
    """Make a delivery again; None if it is not due."""
    again = claimed(one.claim.using, one.claim.id)
    return None if again is None else again.make()


def _raise_error(outcome: Outcome | None) -> None:
    """Raise the error of an attempt that has failed."""
    match outcome:
        case Dead(error) | Again(_, error) | HandedBack(_, error):
            raise error


def _failure(outcome: Outcome | None) -> Iterator[str]:
    """Yield a line for a second attempt that has failed; one that asks for another attempt has not."""
    match outcome:
        case Again(_, RetryAfter()):
            return
        case Dead(error) | Again(_, error) | HandedBack(_, error):
            yield f"the second attempt raises {text_of(error)}"


def _verify(found: Sequence[Redelivered], using: str) -> None:
    """Raise AssertionError for what the second time has changed, or if there was nothing to prove."""
    if not found:
        raise AssertionError(f"The function has caused no delivery that is due on {using!r}, so nothing is proven.")
    wrong = [one for one in found if one.differences]
    if wrong:
        raise AssertionError("\n".join(line for one in wrong for line in _lines(one)))


def _lines(one: Redelivered) -> Iterator[str]:
    yield f"{describe(one.receiver)} is not the same twice:"
    yield from (f"  {line}" for line in one.differences)
