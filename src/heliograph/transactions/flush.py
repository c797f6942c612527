"""Flushing: the pending calls of a transaction are made, before its commit and after it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Any

from django.db import connections, transaction
from django.db.transaction import TransactionManagementError

from heliograph.databases import database_of
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.reentrancy import at_work_again
from heliograph.orm.steps import Proceed
from heliograph.transactions.collect import Received
from heliograph.transactions.net import together
from heliograph.transactions.pending import (
    HELD,
    ON_ROLLBACK,
    Ending,
    Pending,
    Stage,
    is_of_test,
    keep,
    made_now,
    release_held,
    run_first,
    take_rollback_calls,
)

# The length of a chain of receivers, each of which causes the next one, at which they are said never to end. Each
# takes a query or more, so this takes seconds.
DEPTH = 1000

_BEFORE_COMMIT = (Stage.BEFORE_COMMIT, Stage.LAST, Stage.STORED)

Group = list[Pending]  # one call, or the calls that become one call with a batch


class UnsettledError(RuntimeError):
    """Receivers before a commit have gone on causing each other; the message has their names."""


def flush(connection: Any) -> None:
    """Make the calls that are due before the commit, and the calls that these cause, until none is left.

    Raises what a receiver raises; UnsettledError; and TransactionManagementError where a receiver has left a
    transaction that cannot be committed.
    """
    agenda, seen = Agenda(), 0
    while groups := agenda.next_with(take(connection, *_BEFORE_COMMIT, start=seen)):
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


@dataclass(slots=True)
class Agenda:
    """The calls that are due before a commit: single calls in the order in which they were kept, batches, the last.

    The batches and the last calls are made one at a time, since each may cause sends that belong to the next one, or
    calls that come before it. The calls that are stored cause nothing, and are stored all at once.
    """

    _single: deque[Pending] = field(default_factory=deque)
    _batches: OrderedDict[Hashable, Group] = field(default_factory=OrderedDict)
    _last: OrderedDict[Hashable, Group] = field(default_factory=OrderedDict)
    _stored: list[Pending] = field(default_factory=list)

    def next_with(self, more: Iterable[Pending]) -> list[Group]:
        """Return what is made next, now that more calls are pending: one call, one batch, or all that are stored."""
        for one in more:
            if one.policy.stage is Stage.STORED:
                self._stored.append(one)
            elif one.policy.stage is Stage.LAST:
                self._last.setdefault(_group_of(one), []).append(one)
            elif isinstance(one.call, Received):
                self._batches.setdefault(_group_of(one), []).append(one)
            else:
                self._single.append(one)
        if self._single:
            return [[self._single.popleft()]]
        for groups in (self._batches, self._last):
            if groups:
                return [groups.popitem(last=False)[1]]
        stored, self._stored = self._stored, []
        return _grouped(stored) if stored else []


def finish(due: Iterable[Pending]) -> None:
    """Make the calls whose stage is reached; receivers with one kind of policy are called together."""
    _make_groups(_grouped(one for one in due if not _is_held_back(one)))


# The attribute of a connection with the rehearsal that holds the calls back that are due after its commit.
REHEARSAL = "_heliograph_rehearsal"


def _is_held_back(one: Pending) -> bool:
    """Return whether a rehearsal holds a call back, which remembers it then."""
    rehearsal = connections[one.using].__dict__.get(REHEARSAL) if one.policy.stage is Stage.AFTER_COMMIT else None
    if rehearsal is not None:
        rehearsal.hold(one)
    return rehearsal is not None


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
        groups.setdefault(_group_of(one), []).append(one)
    return [*groups.values()]


def _group_of(one: Pending) -> Hashable:
    return (type(one.policy), one.call.group) if isinstance(one.call, Received) else id(one)


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
    database = database_of(connection)
    if connection.needs_rollback or (database.aborts and database.is_aborted(connection)):
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
        f" {DEPTH} times, one the next, and it never ends: {cycle}."
        " Let them stop, e.g. with when=changed(...), or write under mute()."
    )


def _causes(one: Pending | None) -> Iterator[Pending]:
    while one is not None:
        yield one
        one = one.cause


# --- the step around the end of a block ------------------------------------------------------------------------


def end_block(proceed: Proceed, block: Any, exc_type: Any, exc_value: Any, traceback: Any) -> None:
    """End a block of `atomic()`; if it is the transaction, make the calls that are due before and after its end."""
    connection = transaction.get_connection(block.using)
    if block._from_testcase:
        take_rollback_calls(connection)  # the rollback at the end of a test calls no receiver
    if not (connection.run_on_commit or ON_ROLLBACK in connection.__dict__) or not _is_outermost(connection):
        proceed(block, exc_type, exc_value, traceback)
        return
    is_lost, is_real = exc_type is not None or not _is_sound(connection), len(connection.atomic_blocks) == 1
    try:
        if not is_lost:
            _flush_or_end(connection, partial(proceed, block))
        is_good = exc_type is None and _is_sound(connection)
        _end(connection, partial(proceed, block, exc_type, exc_value, traceback), is_good)
    except BaseException:
        is_lost = is_lost or not is_real  # of a real one, the connection knows whether it was rolled back
        raise
    finally:
        if HELD in connection.__dict__:
            release_held(connection)
        if ON_ROLLBACK in connection.__dict__:
            _finish_undone(connection, is_lost=is_lost)


def _finish_undone(connection: Any, *, is_lost: bool) -> None:
    """Make the calls whose send was undone when a transaction ended, and forget the others.

    `is_lost` says that the transaction was certainly rolled back. Without it, only the calls are made that a savepoint
    or a failed commit has undone.
    """
    finish(one for one in take_rollback_calls(connection) if is_lost or one.is_undone)


def _flush_or_end(connection: Any, end: Callable[..., None]) -> None:
    """Make the calls that are due before the commit; an error ends the transaction."""
    try:
        flush(connection)
    except BaseException as error:
        take(connection, *Stage)
        end(type(error), error, error.__traceback__)
        raise


def _is_sound(connection: Any) -> bool:
    """Return whether a transaction will be committed when its block ends without an error."""
    return not connection.needs_rollback and not connection.closed_in_transaction


def _end(connection: Any, end: Callable[[], None], is_good: bool) -> None:
    """End a transaction, and make the calls that are due after it; in a test, Django does not commit it."""
    due = [one for one in take(connection, *Stage) if one.is_due] if connection.run_on_commit else []
    is_real = len(connection.atomic_blocks) == 1
    if (due or HELD in connection.__dict__) and is_good and is_real:

        def finish_committed() -> None:  # not a partial: Django 5.2 asks for its __qualname__
            release_held(connection)
            finish(due)

        run_first(connection, finish_committed)
    end()
    if due and is_good and not is_real:
        finish(due)


def _is_outermost(connection: Any) -> bool:
    """Return whether the end of the innermost block is the end of the transaction."""
    blocks = connection.atomic_blocks
    if len(blocks) == 1 and not blocks[0]._from_testcase:
        return True
    return bool(blocks) and (len(blocks) == 1 or is_of_test(blocks[-2])) and not is_of_test(blocks[-1])
