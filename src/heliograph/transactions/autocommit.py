"""Saves in autocommit: each is a transaction of its own, in which the row is written with what belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from django.db import connections, transaction
from django.db.models.signals import post_save, pre_save

from heliograph.changes.saving import running as running_save
from heliograph.dispatch import Call
from heliograph.dispatch.guarded import Guarded, guarded_among
from heliograph.transactions.ledger import Ending, Pending, Stage, is_in_transaction
from heliograph.transactions.settling import finish

_NAME = "_heliograph_turn"


class Turn:
    """A save in autocommit, from before pre_save until after post_save.

    Django sends pre_save before there is a transaction, and post_save after it was committed. So calls that are noted
    in pre_save wait here for the transaction; and the receivers of post_save whose calls belong into it are called
    when the row is written, and passed over when Django sends post_save, which the others hear then.
    """

    def __init__(self, instance: Any, using: str, is_joined: bool) -> None:
        self.instance = instance
        self.using = using
        self.is_joined = is_joined  # whether calls belong into the transaction of the row
        self.outer = running(instance)
        self.was = _identity(instance)
        self.blocks = len(connections[using].atomic_blocks)
        self.is_begun = False  # whether the row is being written, or is written
        self.is_committed = False
        self.is_undone = False
        self.noted: list[Pending] = []
        self.after: list[Pending] = []

    def __enter__(self) -> None:
        setattr(self.instance._state, _NAME, self)

    def __exit__(self, *error: object) -> None:
        setattr(self.instance._state, _NAME, self.outer)
        if self.outer is None:
            delattr(self.instance._state, _NAME)
        if self.is_begun and not self.is_committed:
            _restore(self.instance, self.was)
        if self.is_undone:  # all of it: Django believes that the transaction of a test is spoiled
            connections[self.using].needs_rollback = False
        finish(self.after)

    def __reduce__(self) -> Any:
        return type(None), ()  # a copy or a pickle that a receiver makes is not being saved

    def note(self, pending: Pending) -> None:
        """Keep a call that pre_save or post_save notes outside of the transaction."""
        if not self.is_begun:
            self.noted.append(pending)
        elif pending.policy.stage is Stage.AFTER_COMMIT:
            self.after.append(pending)

    def is_its_own(self) -> bool:
        """Return whether the row that is being written is that of this save, and not of one that a receiver makes."""
        of_django = bool(self.instance._meta.concrete_model._meta.parents)  # which Django writes in a transaction
        return not self.is_begun and len(connections[self.using].atomic_blocks) == self.blocks + of_django

    def write(self, write: Callable[[], bool], raw: bool, update_fields: Collection[str] | None) -> bool:
        """Write the row, with what belongs into its transaction; return whether it was there before."""
        self.is_begun = True
        if is_in_transaction(connections[self.using]):
            return self._write_joined(write, raw, update_fields)
        if self.is_joined:
            return self._write_alone(write, raw, update_fields)
        updated = write()
        self._committed()
        self.after += self.noted
        return updated

    def _write_alone(self, write: Callable[[], bool], raw: bool, update_fields: Collection[str] | None) -> bool:
        was_sound = not connections[self.using].needs_rollback
        try:
            with transaction.atomic(self.using):
                return self._write_joined(write, raw, update_fields)
        except BaseException:
            self.is_undone = was_sound
            raise

    def _write_joined(self, write: Callable[[], bool], raw: bool, update_fields: Collection[str] | None) -> bool:
        updated = write()
        instance, connection = self.instance, connections[self.using]
        # As Django would after the commit, and a receiver before it may ask.
        instance._state.adding, instance._state.db = False, self.using
        saving = running_save(instance)
        if saving is not None and saving.new is None:
            saving.written(not updated, update_fields)
        for one in (*self.noted, Pending(_Told(), Call(self._committed, {}))):
            connection.on_commit(one, robust=True)
        for policy, receiver in receivers(post_save, type(instance)):
            if policy.stage is not Stage.AFTER_COMMIT:
                receiver(
                    signal=post_save,
                    sender=type(instance),
                    instance=instance,
                    created=not updated,
                    update_fields=update_fields,
                    raw=raw,
                    using=self.using,
                )
        return updated

    def _committed(self) -> None:
        self.is_committed = True


class _Told(Ending):
    """The policy of those who want to know of the commit."""

    stage: ClassVar[Stage] = Stage.AFTER_COMMIT

    @staticmethod
    def make(calls: Sequence[Call]) -> None:
        for call in calls:
            call.make()


def turn_for(instance: Any, using: str) -> Turn | None:
    """Return the turn of a save that begins; None in a transaction, and where nobody waits for the end of one."""
    if instance._meta.auto_created or is_in_transaction(connections[using]):
        return None
    found = [policy for signal in (pre_save, post_save) for policy, _ in receivers(signal, type(instance))]
    return Turn(instance, using, any(one.stage is not Stage.AFTER_COMMIT for one in found)) if found else None


def running(instance: Any) -> Turn | None:
    """Return the turn of an instance that is being saved in autocommit."""
    turn: Turn | None = getattr(instance._state, _NAME, None)
    return turn if turn is not None and turn.instance is instance else None  # a copy has that of its source


def turn_of(payload: Mapping[str, Any]) -> Turn | None:
    """Return the turn that a send is part of."""
    is_of_save = payload["signal"] is post_save or payload["signal"] is pre_save
    return running(payload["instance"]) if is_of_save else None


def receivers(signal: Any, sender: Any) -> Iterator[tuple[Ending, Guarded]]:
    """Yield the receivers of a send that wait for the end of a transaction, each behind its policy."""
    for called in signal._live_receivers(sender):
        for one in guarded_among(called):
            if isinstance(one.options.delivery, Ending):
                yield one.options.delivery, one


def _identity(instance: Any) -> tuple[bool, str | None, dict[str, Any]]:
    """Return what Django sets in an instance once it is saved."""
    meta, state = instance._meta, instance._state
    keys = {field.attname for model in (meta.model, *meta.all_parents) for field in model._meta.pk_fields}
    return state.adding, state.db, {name: instance.__dict__.get(name) for name in keys}


def _restore(instance: Any, was: tuple[bool, str | None, dict[str, Any]]) -> None:
    """Let an instance whose row was rolled back be as it was, so that it can be saved again."""
    instance._state.adding, instance._state.db, keys = was
    instance.__dict__.update(keys)
