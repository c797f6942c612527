"""Before the write: calls that are made in the transaction of a write, as the last step before its statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, ref

from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import pre_save

from heliograph.catalogue import title
from heliograph.changes.under_way import creates
from heliograph.dispatch import Call
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.describe import describe
from heliograph.dispatch.guarded import Guarded
from heliograph.dispatch.identity import Receiver, object_identity
from heliograph.dispatch.option_errors import named_options
from heliograph.dispatch.options import Gate, Options
from heliograph.dispatch.reentrancy import is_reentered, refuse
from heliograph.dispatch.sends import guarded_for
from heliograph.orm.saving import TableWrite, save_table
from heliograph.orm.steps import Proceed, Step
from heliograph.transactions import schemas
from heliograph.transactions.batch_receivers import OF_A_BATCH, verify_batch
from heliograph.transactions.collect import BatchDeferral
from heliograph.transactions.ending import Leases, holds_on_end, lease_of
from heliograph.transactions.inline_batches import made
from heliograph.transactions.late_calls import Awaiting
from heliograph.transactions.net import together
from heliograph.transactions.pending import Stage, Staged


@named_options
@dataclass(frozen=True, repr=False)
class BeforeWrite(Staged):
    """Make the call inside the transaction of a write, as the last step before its statement, once for each write.

    The receiver is one of `pre_save`, and has a parameter named `batch`: the rows of the write, with their old values,
    and with the new values that are about to be written. A save is a batch of one row; with `bulk=True`,
    `bulk_create()`, `bulk_update()` and `update()` are a batch of all their rows. An error in it undoes the write, and
    reaches whoever writes. Raises TypeError on other signals.
    """

    stage: ClassVar[Stage] = Stage.BEFORE_WRITE

    def __repr__(self) -> str:
        return "BeforeWrite()"

    def connected(self, options: Options, receiver: Receiver, target: Target) -> Options:
        """Return the options of a receiver that writes call, and not Django's send of pre_save."""
        _verify(self, receiver, target)
        model = target.sender if isinstance(target.sender, ModelBase) else Model
        holds = (*holds_on_end(target), lease_of(model, _for_models, _steps_of_model).take(), *schemas.watching())
        options = options.with_facts(Awaiting(holds), CalledByWrites())
        call = BatchDeferral(options, together, object_identity(receiver))
        return replace(options, call=call, gives=OF_A_BATCH, blocking=True, defers=True, asks_batch=True)

    def deliver(self, call: Call) -> Any:
        """Make the call now."""
        return made(call)


class WritePayload(dict[str, Any]):
    """What a send of pre_save would carry that comes from the write itself."""


class CalledByWrites(Gate):
    """The gate of a receiver that Django's own send of pre_save leaves out, since it comes before the transaction."""

    def admits(self, payload: Mapping[str, Any]) -> bool:
        return isinstance(payload, WritePayload)


def receivers_before(model: Any) -> list[Guarded]:
    """Return the receivers that are called before the writes of a model."""
    return [one for one in guarded_for(pre_save, model) if isinstance(one.options.delivery, BeforeWrite)]


# --- saves --------------------------------------------------------------------------------------------------------


def call_before(proceed: Proceed, write: TableWrite) -> Any:
    """Write a row; before its first table, call the receivers that wait for this."""
    instance = write.instance
    if not _is_first(write) or instance._meta.auto_created or hasattr(instance._state, _CALLED):
        return proceed(write)
    carried = {"raw": write.raw, "using": write.using, "update_fields": write.update_fields, "created": creates(write)}
    payload = WritePayload(signal=pre_save, sender=type(instance), instance=instance, **carried)
    for one in receivers_before(type(instance)):
        _call(one, payload)
    with _called(instance):
        return proceed(write)


def _is_first(write: TableWrite) -> bool:
    """Return whether this is the first table that a save writes; a fixture has a row of its own for each parent."""
    first = write.instance._meta.concrete_model
    while first._meta.parents and not write.raw:
        first = next(iter(first._meta.parents))
    return bool(write.cls is first)


def _call(one: Guarded, payload: WritePayload) -> None:
    receiver = one.connection.receiver()
    if receiver is None or not one.options.admits(payload):
        return
    if one.reentrant != "allow" and is_reentered(receiver, payload):
        if one.reentrant == "raise":
            refuse(receiver, payload)
        return
    one.options.delivery.deliver(one.options.call(receiver, payload))


# The mark of an instance whose receivers were called: a model and the model that it inherits from may both have a step.
_CALLED = "_heliograph_is_called_before"


@contextmanager
def _called(instance: Any) -> Iterator[None]:
    setattr(instance._state, _CALLED, True)
    try:
        yield
    finally:
        delattr(instance._state, _CALLED)


def _steps_of_model(reference: ref[Any]) -> list[Step]:
    return [save_table.step("before_write", call_before, reference())]


_for_models: Leases = WeakKeyDictionary()


# --- mistakes -----------------------------------------------------------------------------------------------------


def _verify(policy: BeforeWrite, receiver: Receiver, target: Target) -> None:
    """Raise TypeError for a signal that no statement of a save follows, or a receiver that does not take a batch."""
    if target.signal is not pre_save:
        raise TypeError(
            f"{describe(receiver)}: delivery={policy!r} is a call before the statement of a write, with the rows that"
            f" it will write. It works on pre_save, with bulk=True for bulk writes too, and not on"
            f" {title(target.signal)}. Connect it to pre_save, or take BeforeCommit(), which is called after the"
            " write in its transaction."
        )
    verify_batch(policy, receiver, OF_A_BATCH)
