"""Saves in autocommit: each is a transaction of its own, in which the row is written with what belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import connections, transaction
from django.db.models.signals import post_save, pre_save

from heliograph.changes.saving import running as running_save
from heliograph.conditions import Locked
from heliograph.dispatch import Call, Condition
from heliograph.dispatch.guarded import Guarded
from heliograph.dispatch.sends import guarded_for
from heliograph.transactions.flush import finish, make_alone
from heliograph.transactions.pending import Ending, Pending, Stage, is_in_transaction, is_of_test, note

_NAME = "_heliograph_turn"


class AutocommitSave:
    """A save in autocommit, from before pre_save until after post_save.

    Django sends pre_save before there is a transaction, and post_save after it was committed. So calls that are noted
    in pre_save wait here for the transaction; and the receivers of post_save whose calls belong into it are called
    when the row is written, and passed over when Django sends post_save, which the others hear then.
    """

    def __init__(self, instance: Any, using: str, is_joined: bool) -> None:
        self.instance = instance
        self.using = using
        self.connection = connections[using]
        self.is_joined = is_joined  # whether calls belong into the transaction of the row
        self.outer = running(instance)
        self.before: _Before | None = None  # as soon as the row, or that of a parent, is being written
        self.is_written = False
        self.is_committed = False
        self.called: list[Any] = []  # the conditions of the receivers that were called when the row was written
        self.noted: list[Pending] = []
        self.after: list[Pending] = []

    def __enter__(self) -> None:
        _mark(self.instance, self)

    def __exit__(self, error: Any, *_: object) -> None:
        _mark(self.instance, self.outer)
        try:
            if self.before is not None:
                self.before.end(is_committed=self.is_committed)
            if not self.is_written and error is None:  # the model has a way of its own to write rows
                for one in self.noted:
                    make_alone(one)
            if error is not None and not self.is_committed:
                finish(one for one in self.noted if one.policy.stage is Stage.AFTER_ROLLBACK)
            finish(self.after)
        finally:
            self.instance, self.before, self.noted, self.after = None, None, [], []  # a copy may hold this

    def __reduce__(self) -> Any:
        return type(None), ()  # a copy or a pickle that a receiver makes is not being saved

    def note(self, one: Pending) -> None:
        """Keep a call that pre_save or post_save notes outside of the transaction."""
        if not self.is_written:
            self.noted.append(one)
        elif one.policy.stage is Stage.AFTER_COMMIT:
            self.after.append(one)
        else:
            make_alone(one)

    def begin(self) -> None:
        """Remember what the instance is, before the first of its rows is written."""
        if self.before is None:
            self.before = _Before(self.instance, self.connection, self.is_joined)

    def write(self, write: Callable[[], bool], raw: bool, update_fields: Collection[str] | None) -> bool:
        """Write the row, with what belongs into its transaction; return whether it was there before."""
        self.is_written = True
        is_django = is_in_transaction(self.connection)
        if not is_django and not self.is_joined:
            updated = write()
            self._committed()
            self.after += [one for one in self.noted if one.policy.stage is Stage.AFTER_COMMIT]
            return updated
        with nullcontext() if is_django else transaction.atomic(self.using):
            updated = write()
            self._join(updated, raw, update_fields)
        return updated

    def _join(self, updated: bool, raw: bool, update_fields: Collection[str] | None) -> None:
        """Let what belongs into the transaction of the row be noted in it."""
        instance = self.instance
        # As Django has it after the commit, and a receiver before it may ask.
        instance._state.adding, instance._state.db = False, self.using
        saving = running_save(instance)
        if saving is not None and saving.new is None:
            saving.written(not updated, update_fields)
        told = Pending(_Told(), Call(self._committed, {}), self.using)
        noted, self.noted = self.noted, []
        for one in (told, *noted):
            note(self.connection, one)
        payload = {"created": not updated, "update_fields": update_fields, "raw": raw, "using": self.using}
        for policy, receiver in receivers(post_save, type(instance)):
            if policy.stage is not Stage.AFTER_COMMIT:
                receiver(signal=post_save, sender=type(instance), instance=instance, **payload)
                self.called.append(receiver.when)

    def _committed(self) -> None:
        self.is_committed = True


class _Before:
    """What was there before a row was written: what Django sets in the instance must go if the row does."""

    def __init__(self, instance: Any, connection: Any, is_joined: bool) -> None:
        meta, state, blocks = instance._meta, instance._state, connection.atomic_blocks
        parents = meta.all_parents
        keys = {field.attname for model in (meta.model, *parents) for field in model._meta.pk_fields}
        self.instance = instance
        self.connection = connection
        self.state = {"adding": state.adding, "db": state.db}
        self.keys = {name: instance.__dict__.get(name) for name in keys}
        self.is_in_test = bool(is_joined and blocks and is_of_test(blocks[0]) and not connection.needs_rollback)
        # Django writes the rows of a child in a block without a savepoint, which no test could roll back.
        self.savepoint = connection.savepoint() if self.is_in_test and parents else None
        self.callbacks = len(connection.run_on_commit)

    def end(self, *, is_committed: bool) -> None:
        """Let the instance, and a test around it, be as they were before, unless the row is there to stay."""
        if not is_committed:
            self.instance._state.__dict__.update(self.state)
            self.instance.__dict__.update(self.keys)
            if self.is_in_test:
                self.connection.needs_rollback = False  # Django believes that the transaction of the test is spoiled
        if self.savepoint is not None and not self.connection.needs_rollback:
            if not is_committed:
                del self.connection.run_on_commit[self.callbacks :]
                self.connection.savepoint_rollback(self.savepoint)
            self.connection.savepoint_commit(self.savepoint)


class _Told(Ending):
    """The policy of those who want to know of the commit."""

    stage: ClassVar[Stage] = Stage.AFTER_COMMIT

    @staticmethod
    def make(due: Sequence[Pending]) -> None:
        for one in due:
            one.call.make()


def turn_for(instance: Any, using: str) -> AbstractContextManager[None]:
    """Return the turn of a save that begins; of none in a transaction, and where nobody waits for the end of one."""
    if is_in_transaction(connections[using]):
        return nullcontext() if running(instance) is None else _aside(instance)
    found = [policy for signal in (pre_save, post_save) for policy, _ in receivers(signal, type(instance))]
    if not found or instance._meta.auto_created:
        return nullcontext()
    return AutocommitSave(instance, using, any(policy.stage in _JOINED for policy in found))


# The policies whose calls are made in the transaction of a row. `OnRollback()` opens no transaction.
_JOINED = (Stage.BEFORE_COMMIT, Stage.LAST)


@contextmanager
def _aside(instance: Any) -> Iterator[None]:
    """Let a save that a receiver makes, in a transaction, of the instance that it is handling be none of its turn."""
    turn = running(instance)
    _mark(instance, None)
    try:
        yield
    finally:
        _mark(instance, turn)


def _mark(instance: Any, turn: AutocommitSave | None) -> None:
    if turn is not None:
        setattr(instance._state, _NAME, turn)
    else:
        instance._state.__dict__.pop(_NAME, None)


def running(instance: Any) -> AutocommitSave | None:
    """Return the turn of an instance that is being saved in autocommit."""
    turn: AutocommitSave | None = getattr(instance._state, _NAME, None)
    return turn if turn is not None and turn.instance is instance else None  # a copy has that of its source


def turn_of(payload: Mapping[str, Any]) -> AutocommitSave | None:
    """Return the turn that a send is part of."""
    instance, signal = payload.get("instance"), payload["signal"]
    if instance is None or (signal is not post_save and signal is not pre_save):
        return None
    turn = running(instance)
    is_own = turn is not None and payload["sender"] is type(instance) and payload.get("using") == turn.using
    return turn if is_own else None


def receivers(signal: Any, sender: Any) -> Iterator[tuple[Ending, Guarded]]:
    """Yield the receivers of a send that wait for the end of a transaction, each behind its policy."""
    for one in guarded_for(signal, sender):
        if isinstance(one.options.delivery, Ending):
            yield one.options.delivery, one


@dataclass(frozen=True, repr=False, eq=False)
class Once(Condition):
    """The condition of a receiver that may have been called when the row was written, before Django sends post_save."""

    inner: Condition | None
    is_asked: bool  # at each send; otherwise it is asked of a whole batch

    def holds(self, payload: Mapping[str, Any]) -> bool:
        turn = turn_of(payload)
        called = [] if turn is None else turn.called
        for at, condition in enumerate(called):
            if condition is self:
                del called[at]  # another send is another event
                return False
        if self.inner is None:
            return True
        return self.inner.holds(payload) if self.is_asked else not self._is_too_late(payload)

    def _is_too_late(self, payload: Mapping[str, Any]) -> bool:
        """Return whether the row of a deletion was gone before it was locked; only known at the time of the send."""
        return any(isinstance(leaf, Locked) and not leaf.holds(payload) for leaf in self.leaves())

    def leaves(self) -> Iterator[Condition]:
        return iter(()) if self.inner is None else self.inner.leaves()

    def __repr__(self) -> str:
        return "" if self.inner is None else repr(self.inner)
