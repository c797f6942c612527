"""Saves in autocommit: each is a transaction of its own, with the calls that belong to the row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connections, router, transaction
from django.db.models.signals import post_save, pre_save

from heliograph.changes.current import comparison
from heliograph.changes.plans import SAVING
from heliograph.changes.under_way import StaleCopyError
from heliograph.dispatch.guarded import Guarded, receiver_of
from heliograph.dispatch.observed_calls import ObservedSend, current_call
from heliograph.dispatch.options import Gate
from heliograph.dispatch.scopes import current, watch
from heliograph.dispatch.sends import guarded_for
from heliograph.dispatch.skip_reasons import HandledElsewhere, SkipReason
from heliograph.orm.savepoint_times import SavepointTime, now
from heliograph.orm.saving import SaveBase, TableWrite
from heliograph.orm.steps import Proceed
from heliograph.transactions.flush import finish, make_alone
from heliograph.transactions.pending import Pending, Stage, Staged, WritePayload, is_of_test, keep

_NAME = "_heliograph_autocommit_save"
# The attribute of the models for whose saves a receiver waits until the end of a transaction.
AWAITED = "_heliograph_is_awaited"


def save_in_autocommit(proceed: Proceed, save: SaveBase) -> Any:
    """Save an instance; in autocommit, as an `AutocommitSave` if a receiver waits for a stage of a transaction."""
    instance = save.instance
    if not getattr(instance, AWAITED, False):
        return proceed(save)
    using = save.using or router.db_for_write(type(instance), instance=instance)
    blocks = connections[using].atomic_blocks
    if blocks and not is_of_test(blocks[-1]):
        if running(instance) is None:
            return proceed(save)
        with _aside(instance):
            return proceed(save)
    before, after = [_waiting(signal, type(instance), using) for signal in (pre_save, post_save)]
    if instance._meta.auto_created or not (before or after):
        return proceed(save)
    with AutocommitSave(instance, using, before, after):
        return proceed(save)


def _waiting(signal: Any, sender: Any, using: str) -> Waiting:
    """Return the receivers of a signal that wait for a stage of a transaction on a database, each after its stage."""
    payload = WritePayload(signal=signal, sender=sender, using=using)
    found = [(one.options.delivery, one) for one in guarded_for(signal, sender) if one.options.may_admit(payload)]
    return [(delivery.stage, one) for delivery, one in found if isinstance(delivery, Staged)]


Waiting = list[tuple[Stage, Guarded]]
_JOINED = (Stage.BEFORE_WRITE, Stage.AFTER_WRITE, Stage.BEFORE_COMMIT, Stage.LAST, Stage.STORED)


def join_transaction(proceed: Proceed, write: TableWrite) -> Any:
    """Write a row; the row of an `AutocommitSave` in a transaction with the calls that belong to it."""
    save: AutocommitSave | None = getattr(write.instance._state, _NAME, None)
    is_own = save is not None and save.instance is write.instance and not save.is_begun
    return save.write(proceed, write) if is_own else proceed(write)  # type: ignore[union-attr]


class AutocommitSave:
    """A save in autocommit, from before pre_save until after post_save.

    Django sends pre_save before there is a transaction, and post_save after its commit. So calls that pre_save keeps
    pending wait here for the transaction. The receivers of post_save whose calls belong to the transaction are called
    when the row is written; when Django sends post_save, only the other receivers receive it.
    """

    def __init__(self, instance: Any, using: str, before: Waiting, after: Waiting) -> None:
        """`before` and `after` are the receivers of pre_save and post_save that wait for a stage of a transaction."""
        self.instance = instance
        self.using = using
        self.connection = connections[using]
        self.blocks = len(self.connection.atomic_blocks)  # none but the blocks that Django puts around a test
        # Whether calls belong to the transaction of the row. `OnRollback()` opens no transaction.
        self.is_joined = any(stage in _JOINED for stage, _ in (*before, *after))
        joined = (one.options.delivery for stage, one in after if stage in _JOINED)
        self._waits_for_changes = not before and all(isinstance(one, Staged) and one.is_of_changes for one in joined)
        # The receivers that are called as soon as the row is written.
        self.joined = [receiver for stage, receiver in after if stage is not Stage.AFTER_COMMIT]
        self.outer = running(instance)
        self.state: _State | None = None  # as soon as the row, or the row of a parent, is being written
        self.is_begun = False  # whether the row is being written, or was
        self.is_written = False
        self.since: SavepointTime | None = None  # the savepoint time at which the row was written in a transaction
        self.is_calling = False  # whether the receivers are called with the row
        self.called: list[OncePerSave] = []  # the gates of the receivers that were called with the row
        self.pending: list[Pending] = []  # calls that wait for the transaction
        self.after: list[Pending] = []  # calls that are made when the save is over

    def __enter__(self) -> None:
        setattr(self.instance._state, _NAME, self)

    def __exit__(self, error: Any, *_: object) -> None:
        _mark(self.instance, self.outer)
        is_committed = self.is_written and (error is None or not self._is_undone())
        try:
            if self.state is not None:
                self.state.end(is_committed=is_committed)
            if not self.is_begun and error is None:  # the model has a way of its own to write rows
                for one in self.pending:
                    make_alone(one)
            if error is not None and not is_committed:
                finish(one for one in self.pending if one.policy.stage is Stage.AFTER_ROLLBACK)
            if self.after:
                finish(self.after)
        finally:
            # A copy of the instance may hold this.
            self.instance, self.state, self.joined, self.pending, self.after = None, None, [], [], []

    def __reduce__(self) -> Any:
        return type(None), ()  # a copy or a pickle that a receiver makes is not being saved

    def _is_undone(self) -> bool:
        """Return whether an error has undone the row, and not come from a receiver after the commit."""
        return self.since is not None and (self.since.is_undone or self.connection.needs_rollback)

    def keep(self, one: Pending) -> None:
        """Keep a call pending that a receiver of pre_save or post_save causes outside of the transaction."""
        if not self.is_begun:
            self.pending.append(one)
        elif one.policy.stage is Stage.AFTER_COMMIT:
            self.after.append(one)
        else:
            make_alone(one)

    def write(self, proceed: Proceed, write: TableWrite) -> Any:
        """Write a row; the last one, of the model itself, with the calls that belong to its transaction."""
        if self.state is None:
            if self.is_joined and self._waits_for_changes and self._changes_nothing(write):
                return self._write_alone(proceed, write)
            self.state = _State(self.instance, self.connection, self.is_joined)
        if not write.is_last:
            return proceed(write)
        self.is_begun = True
        if len(self.connection.atomic_blocks) > self.blocks:  # Django has opened a transaction for tables of parents
            return self._write_in_transaction(proceed, write)
        if self.is_joined:
            with transaction.atomic(self.using):
                return self._write_in_transaction(proceed, write)
        updated = proceed(write)
        self.is_written = True
        self.after += [one for one in self.pending if one.policy.stage is Stage.AFTER_COMMIT]
        return updated

    def _write_alone(self, proceed: Proceed, write: TableWrite) -> Any:
        """Write a row that changes nothing, without a transaction; in one after all if the instance was stale."""
        saving = getattr(self.instance._state, SAVING)
        self.is_joined, saving.is_alone = False, True
        try:
            return self.write(proceed, write)
        except StaleCopyError:
            self.is_joined, saving.is_alone = True, False
            self.state = _State(self.instance, self.connection, self.is_joined)
            return self.write(proceed, write)

    def _changes_nothing(self, write: TableWrite) -> bool:
        """Return whether a save changes nothing, as far as its instance knows."""
        if self.instance._state.adding or write.force_insert:
            return False
        save = getattr(self.instance._state, SAVING, None)
        if save is None or save.plan is None or (save.plan.locked and not save.is_verified()):
            return False
        compared = comparison(self.instance, write.update_fields)
        return compared is not None and not compared.differs(compared.plan.names[compared.plan.keys :])

    def _write_in_transaction(self, proceed: Proceed, write: TableWrite) -> Any:
        updated = proceed(write)
        self.is_written, self.since = True, now(self.connection)
        instance = self.instance
        # As Django has it after the commit, and a receiver before it may ask.
        instance._state.adding, instance._state.db = False, self.using
        saving = getattr(instance._state, SAVING, None)
        if saving is not None and saving.new is None:
            saving.written(not updated, write.update_fields)
        pending, self.pending = self.pending, []
        for one in pending:
            keep(self.connection, one)
        self._send_to_joined(write, created=not updated)
        return updated

    def _send_to_joined(self, write: TableWrite, created: bool) -> None:
        """Call the receivers of post_save whose calls belong to the transaction."""
        carried = {"created": created, "update_fields": write.update_fields, "raw": write.raw, "using": self.using}
        payload = {"signal": post_save, "sender": type(self.instance), "instance": self.instance, **carried}
        scopes = current() if watch else ()
        self.is_calling = True
        for receiver in self.joined:
            if receiver.connection.guarded is not receiver:  # pre_save has disconnected it
                continue
            if scopes:
                ObservedSend(scopes, payload, current_call()).respond(receiver, receiver_of(receiver))
            else:
                receiver(**payload)
        self.is_calling = False


class _State:
    """The state of an instance before a row was written: what Django sets in the instance must go if the row does."""

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


@contextmanager
def _aside(instance: Any) -> Iterator[None]:
    """Let a save in a transaction be none of the `AutocommitSave` whose receiver saves the same instance."""
    outer = running(instance)
    _mark(instance, None)
    try:
        yield
    finally:
        _mark(instance, outer)


def _mark(instance: Any, save: AutocommitSave | None) -> None:
    if save is not None:
        setattr(instance._state, _NAME, save)
    else:
        instance._state.__dict__.pop(_NAME, None)


def running(instance: Any) -> AutocommitSave | None:
    """Return the `AutocommitSave` of an instance that is under way."""
    save: AutocommitSave | None = getattr(instance._state, _NAME, None)
    return save if save is not None and save.instance is instance else None  # a copy refers to the save of its source


def save_of(payload: Mapping[str, Any]) -> AutocommitSave | None:
    """Return the `AutocommitSave` that a send of pre_save or post_save is part of."""
    instance, signal = payload.get("instance"), payload["signal"]
    if instance is None or (signal is not post_save and signal is not pre_save):
        return None
    save: AutocommitSave | None = getattr(instance._state, _NAME, None)
    is_own = save is not None and save.instance is instance and payload["sender"] is type(instance)
    return save if is_own and payload.get("using") == save.using else None  # type: ignore[union-attr]


class OncePerSave(Gate):
    """The gate of a receiver that may have been called when the row was written, before Django sends post_save."""

    is_about_instances = True

    def admits(self, payload: Mapping[str, Any]) -> bool:
        save = save_of(payload)
        if save is None:
            return True
        if save.is_calling:
            save.called.append(self)
            return True
        if self not in save.called:
            return True
        save.called.remove(self)  # another send is another event
        return False

    def reason(self, payload: Mapping[str, Any]) -> SkipReason:
        return HandledElsewhere()
