"""Flushing: the pending calls of a transaction are made, before its commit and after it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from typing import Any

from django.db import connections, transaction
from django.db.transaction import TransactionManagementError

from heliograph.databases import database_of
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.reentrancy import at_work_again
from heliograph.transactions.collect import Received
from heliograph.transactions.net import together
from heliograph.transactions.pending import Ending, Pending, Stage, keep, made_now

# The length of a chain of receivers, each of which causes the next one, at which they are said never to end. Each
# takes a query or more, so this takes seconds.
DEPTH = 1000

Group = list[Pending]  # one call, or the calls that become one call with a batch


class UnsettledError(RuntimeError):
    """Receivers have gone on causing each other before a commit; the message has their names."""


def flush(connection: Any) -> None:
    """Make the calls that are due before the commit, and the calls that these cause, until none is left.

    Raises what a receiver raises; UnsettledError; and TransactionManagementError where a receiver has left a
    transaction that cannot be committed.
    """
    agenda, seen = Agenda(), 0
    while groups := agenda.next_with(take(connection, Stage.BEFORE_COMMIT, Stage.LAST, start=seen)):
        seen = len(connection.run_on_commit)
        _make(groups, connection)


def take(connection: Any, *stages: Stage, start: int = 0) -> list[Pending]:
    """Remove the calls of these stages from Django's list, from an index on, and return them."""
    taken, others = [], []
    for entry in connection.run_on_commit[start:]:
        one = entry[1]
        if type(one) is Pending and one.policy.stage in stages:
            taken.append(one)
        else:
            others.append(entry)
    if taken:
        connection.run_on_commit[start:] = others
    return taken


class Agenda:
    """The calls that are due before a commit: single calls in the order in which they were kept, batches, the last.

    The batches are made one at a time, since each may cause sends that belong to the next one.
    """

    def __init__(self) -> None:
        self._single: deque[Pending] = deque()
        self._batches: OrderedDict[Hashable, Group] = OrderedDict()
        self._last: list[Pending] = []

    def next_with(self, more: Iterable[Pending]) -> list[Group]:
        """Return what is made next, now that more calls are pending: a single call, a batch, or all the last calls."""
        for one in more:
            if one.policy.stage is Stage.LAST:
                self._last.append(one)
            elif isinstance(one.call, Received):
                self._batches.setdefault((type(one.policy), one.call.group), []).append(one)
            else:
                self._single.append(one)
        if self._single:
            return [[self._single.popleft()]]
        if self._batches:
            return [self._batches.popitem(last=False)[1]]
        last, self._last = self._last, []
        return _grouped(last) if last else []


def finish(due: Iterable[Pending]) -> None:
    """Make calls whose stage is reached: those of all receivers that have one kind of policy at once."""
    _make_groups(_grouped(due))


def make_alone(one: Pending) -> None:
    """Make a call for which there is no transaction to wait for."""
    if one.policy.stage is Stage.AFTER_COMMIT:
        finish([one])
    elif one.policy.stage is not Stage.AFTER_ROLLBACK:  # in autocommit nothing can be rolled back
        with transaction.atomic(one.using):
            keep(connections[one.using], one)


def _grouped(calls: Iterable[Pending]) -> list[Group]:
    """Return the calls in groups: a batch has one receiver, and one table or sender."""
    groups: dict[Hashable, Group] = {}
    for one in calls:
        key = (type(one.policy), one.call.group) if isinstance(one.call, Received) else id(one)
        groups.setdefault(key, []).append(one)
    return [*groups.values()]


def _make_groups(groups: Iterable[Group]) -> None:
    calls: dict[type[Ending], list[Pending]] = {}
    for group in groups:
        calls.setdefault(type(group[0].policy), []).append(_as_one(group))
    for policy, due in calls.items():
        policy.make(due)


def _as_one(group: Group) -> Pending:
    sends = [one.call for one in group if isinstance(one.call, Received)]
    return replace(group[0], call=together(sends)) if sends else group[0]


def _make(groups: list[Group], connection: Any) -> None:
    """Make calls before the commit, unless a receiver has rolled back their sends meanwhile."""
    # Calls that are kept while these are made have the one with the longest chain of causes as their cause.
    due = [calls for group in groups if (calls := [one for one in group if one.is_due])]
    if not due:
        return
    cause = max((one for group in due for one in group), key=attrgetter("depth"))
    if cause.depth >= DEPTH:
        raise UnsettledError(_explanation(cause, connection))
    before = made_now.set(cause)
    try:
        if handlings := [handling for group in due for one in group for handling in one.at_work]:
            with at_work_again(handlings):
                _make_groups(due)
        else:
            _make_groups(due)
    finally:
        made_now.reset(before)
    _verify_sound(connection, cause)


def _verify_sound(connection: Any, made: Pending) -> None:
    """Raise TransactionManagementError if the database would roll back in place of the commit, and report nothing."""
    if connection.needs_rollback or database_of(connection).is_aborted(connection):
        raise TransactionManagementError(
            f"The transaction on {connection.alias!r} was rolled back: {full_name(made.call.receiver)}, which runs"
            " before its commit, has caught an error of the database, or asked for a rollback. Let it raise, or put"
            " atomic() around the statement that may fail."
        )


def _explanation(last: Pending, connection: Any) -> str:
    names = [full_name(one.call.receiver) for one in _causes(last)]
    cycle = " -> ".join(reversed(names[: len({*names}) + 1]))
    return (
        f"The transaction on {connection.alias!r} was rolled back: before its commit, receivers have caused each other"
        f" {DEPTH} times, one the next, and it never settles: {cycle}."
        " Let them stop, e.g. with when=changed(...), or write under mute()."
    )


def _causes(one: Pending | None) -> Iterator[Pending]:
    while one is not None:
        yield one
        one = one.cause
