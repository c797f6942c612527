"""The end of a transaction: what is due before its commit, and after it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from operator import attrgetter
from typing import Any

from heliograph.dispatch import Call
from heliograph.dispatch.describe import full_name
from heliograph.transactions.ledger import Pending, Stage, made_now, taken
from heliograph.transactions.netting import together

# How many calls may have caused each other, one the next, before it is said that they never end. Each takes a query
# or more, so that this is a matter of seconds.
DEPTH = 1000


class UnsettledError(RuntimeError):
    """Receivers have gone on causing each other before a commit; the message has their names."""


def settle(connection: Any) -> None:
    """Make what is due before the commit, and what that causes, until nothing is left.

    Single calls come first, in the order in which they were noted; then the batches, one at a time, since each may
    cause what belongs to the next one. Raises what a receiver raises, and UnsettledError.
    """
    waiting: list[Pending] = []
    while waiting := [*waiting, *taken(connection, Stage.BEFORE_COMMIT, Stage.LAST)]:
        due = _next(waiting)
        gone = {*map(id, due)}
        waiting = [one for one in waiting if id(one) not in gone]
        if due[0].policy.stage is Stage.LAST:
            finish(due)
        else:
            for group in _groups(due):
                _make(group, connection)


def finish(due: Iterable[Pending]) -> None:
    """Make what comes last or after: the calls of all receivers that have one kind of policy at once."""
    calls: dict[Any, list[Call]] = {}
    for group in _groups(due):
        calls.setdefault(type(group[0].policy), []).append(_call(group))
    for policy, of_policy in calls.items():
        policy.make(of_policy)


def _next(waiting: list[Pending]) -> list[Pending]:
    """Return what is made next: single calls, or else one batch, or else what comes last."""
    before = [one for one in waiting if one.policy.stage is Stage.BEFORE_COMMIT]
    single = [one for one in before if not one.policy.batch]
    return single or next(iter(_groups(before)), waiting)


def _make(group: list[Pending], connection: Any) -> None:
    """Make a call before the commit; what it causes is noted with its cause."""
    deepest = max(group, key=attrgetter("depth"))
    if deepest.depth >= DEPTH:
        raise UnsettledError(_explanation(deepest, connection))
    before = made_now.set(deepest)
    try:
        deepest.policy.make([_call(group)])
    finally:
        made_now.reset(before)


def _groups(waiting: Iterable[Pending]) -> Iterable[list[Pending]]:
    """Return what becomes one call each, in order: single calls, and batches, each in the place of its first send."""
    groups: dict[Hashable, list[Pending]] = {}
    for one in waiting:
        groups.setdefault((type(one.policy), *one.call.group) if one.policy.batch else id(one), []).append(one)  # type: ignore[attr-defined]
    return groups.values()


def _call(group: list[Pending]) -> Call:
    return together([one.call for one in group]) if group[0].policy.batch else group[0].call  # type: ignore[misc]


def _explanation(deepest: Pending, connection: Any) -> str:
    names = [full_name(one.call.receiver) for one in _causes(deepest)]
    cycle = " -> ".join(reversed(names[: len({*names}) + 1]))
    return (
        f"The transaction on {connection.alias!r} was rolled back: before its commit, receivers have caused each other"
        f" {DEPTH} times, one the next, and it never settles: {cycle}."
        " Let them stop, e.g. with when=changed(...), or save with QuerySet.update()."
    )


def _causes(one: Pending | None) -> Iterator[Pending]:
    while one is not None:
        yield one
        one = one.cause
