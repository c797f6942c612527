"""The end of a transaction: what is due before its commit, and after it."""

from __future__ import annotations

from collections import deque
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
from heliograph.transactions.pending import Ending, Pending, Stage, made_now, note, taken

# How many calls may have caused each other, one the next, before it is said that they never end. Each takes a query
# or more, so that this is a matter of seconds.
DEPTH = 1000


class UnsettledError(RuntimeError):
    """Receivers have gone on causing each other before a commit; the message has their names."""


def settle(connection: Any) -> None:
    """Make what is due before the commit, and what that causes, until nothing is left.

    Raises what a receiver raises; UnsettledError; and TransactionManagementError where a receiver has left a
    transaction that cannot be committed.
    """
    agenda, seen = Agenda(), 0
    while due := agenda.next_with(taken(connection, Stage.BEFORE_COMMIT, Stage.LAST, start=seen)):
        seen = len(connection.run_on_commit)
        if still_due := [one for one in due if one.is_due]:  # a receiver may have rolled back a savepoint
            _make(still_due, connection)


class Agenda:
    """What is due before a commit: single calls in the order in which they were noted, batches, and what comes last.

    The batches come one at a time, since each may cause what belongs to the next one.
    """

    def __init__(self) -> None:
        self._single: deque[Pending] = deque()
        self._batches: dict[Hashable, list[Pending]] = {}
        self._last: list[Pending] = []

    def next_with(self, more: Iterable[Pending]) -> list[Pending]:
        """Return what is made next, now that more has been noted: a single call, a batch, or all that comes last."""
        for one in more:
            self._queue_of(one).append(one)
        if self._single:
            return [self._single.popleft()]
        if self._batches:
            return self._batches.pop(next(iter(self._batches)))
        last, self._last = self._last, []
        return last

    def _queue_of(self, one: Pending) -> Any:
        if one.policy.stage is Stage.LAST:
            return self._last
        return self._batches.setdefault(_group(one), []) if isinstance(one.call, Received) else self._single


def finish(due: Iterable[Pending]) -> None:
    """Make calls whose time has come: those of all receivers that have one kind of policy at once."""
    calls: dict[type[Ending], dict[Hashable, list[Pending]]] = {}
    for one in due:
        calls.setdefault(type(one.policy), {}).setdefault(_group(one), []).append(one)
    for policy, groups in calls.items():
        policy.make([_as_one(group) for group in groups.values()])


def make_alone(one: Pending) -> None:
    """Make a call for which there is no transaction to wait for."""
    if one.policy.stage is Stage.AFTER_COMMIT:
        finish([one])
    elif one.policy.stage is not Stage.AFTER_ROLLBACK:  # in autocommit nothing can be rolled back
        with transaction.atomic(one.using):
            note(connections[one.using], one)


def _group(one: Pending) -> Hashable:
    """Return what those have in common that become one call: a batch has its receiver and sender."""
    return (type(one.policy), one.call.group) if isinstance(one.call, Received) else id(one)


def _as_one(group: list[Pending]) -> Pending:
    sends = [one.call for one in group if isinstance(one.call, Received)]
    return replace(group[0], call=together(sends)) if sends else group[0]


def _make(due: list[Pending], connection: Any) -> None:
    """Make calls before the commit; what they cause is noted with its cause."""
    cause = max(due, key=attrgetter("depth"))
    if cause.depth >= DEPTH:
        raise UnsettledError(_explanation(cause, connection))
    before = made_now.set(cause)
    try:
        with at_work_again(handling for one in due for handling in one.at_work):
            finish(due)
    finally:
        made_now.reset(before)
    _verify_sound(connection, cause)


def _verify_sound(connection: Any, made: Pending) -> None:
    """Raise TransactionManagementError where the database would roll back in place of the commit, and tell nobody."""
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
