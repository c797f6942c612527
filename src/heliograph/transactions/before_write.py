"""Before the write: calls that are made in the transaction of a write, as the last step before its statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary, ref

from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import pre_save

from heliograph.catalogue import title
from heliograph.changes.under_way import creates
from heliograph.dispatch import Call
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.describe import describe
from heliograph.dispatch.guarded import SKIPPED, Guarded
from heliograph.dispatch.identity import Receiver, object_identity
from heliograph.dispatch.option_errors import named_options
from heliograph.dispatch.options import Gate, Options
from heliograph.dispatch.reentrancy import is_reentered, refuse
from heliograph.dispatch.sends import guarded_for
from heliograph.dispatch.skip_reasons import HandledElsewhere, SkipReason
from heliograph.orm.saving import TableWrite, save_table
from heliograph.orm.steps import Proceed, Step
from heliograph.transactions import schemas
from heliograph.transactions.batch_receivers import OF_A_BATCH, verify_batch
from heliograph.transactions.collect import BatchDeferral, Received
from heliograph.transactions.ending import Leases, holds_on_end, lease_of
from heliograph.transactions.inline_batches import made
from heliograph.transactions.late_calls import Awaiting
from heliograph.transactions.net import BatchCall, together
from heliograph.transactions.pending import Stage, Staged, WritePayload

T = TypeVar("T")


@named_options
@dataclass(frozen=True, repr=False)
class BeforeWrite(Staged):
    """The delivery policy that makes the call in the transaction of a write, as the last step before its statement.

    The receiver is one of `pre_save`, and has a parameter named `batch`: the `Batch` of the rows of the write, with
    their old values, and with the new values that are about to be written. There is one call for each write. A save is
    a batch of one row; with `bulk=True`, `bulk_create()`, `bulk_update()` and `update()` are a batch of all their rows.
    An error of the receiver undoes the write, and reaches the code that writes.

    With `attempts=2` a receiver can choose a value that must be unique, such as a code. If the database refuses the
    statement by an IntegrityError, the receiver is called again, and the statement is repeated, until `attempts` calls
    are made in all. The receiver then has a parameter named `refused`: this error, or None in the first call. An
    `update()` is not repeated.

    Raises ValueError for a number of attempts below 1. Where a receiver is connected, TypeError is raised for another
    signal than `pre_save`, and for a receiver that does not take a batch.
    """

    stage: ClassVar[Stage] = Stage.BEFORE_WRITE

    attempts: int = 1

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise ValueError(f"BeforeWrite(attempts=...) takes a number, 1 or more, not {self.attempts!r}.")

    def __repr__(self) -> str:
        return "BeforeWrite()" if self.attempts == 1 else f"BeforeWrite(attempts={self.attempts})"

    @property
    def gives(self) -> frozenset[str]:
        """The names with which the receiver is called."""
        return OF_A_BATCH if self.attempts == 1 else OF_A_BATCH | {"refused"}

    def connected(self, options: Options, receiver: Receiver, target: Target) -> Options:
        """Return the options of a receiver that writes call, and not Django's send of pre_save."""
        _verify(self, receiver, target)
        model = target.sender if isinstance(target.sender, ModelBase) else Model
        holds = (*holds_on_end(target), lease_of(model, _for_models, _steps_of_model).take(), *schemas.watching())
        options = options.with_facts(Awaiting(holds), CalledByWrites())
        call = BatchDeferral(options, together, object_identity(receiver))
        return replace(options, call=call, gives=self.gives, blocking=True, defers=True, asks_batch=True)

    def deliver(self, call: Call) -> Any:
        """Make the call now."""
        return made(call)


class CalledByWrites(Gate):
    """The gate of a receiver that Django's own send of pre_save leaves out, since it comes before the transaction."""

    def admits(self, payload: Mapping[str, Any]) -> bool:
        return isinstance(payload, WritePayload)

    def reason(self, payload: Mapping[str, Any]) -> SkipReason:
        return HandledElsewhere()


def receivers_before(model: Any) -> list[Guarded]:
    """Return the receivers that are called before the writes of a model."""
    return [one for one in guarded_for(pre_save, model) if isinstance(one.options.delivery, BeforeWrite)]


# --- attempts -----------------------------------------------------------------------------------------------------


class Attempts:
    """The attempts of one write: some receivers are called again if the database refuses its statement."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.calls: list[tuple[BeforeWrite, BatchCall]] = []  # that may be made again
        self.is_under_way = False  # whether the statement is being executed

    def __reduce__(self) -> Any:
        return type(None), ()  # a copy or a pickle of an instance is not being saved

    def call(self, one: Guarded, sends: Sequence[Received]) -> None:
        """Call a receiver for the first time, with the rows that the write is about to write."""
        policy, call = one.options.delivery, together(sends)
        if not isinstance(policy, BeforeWrite) or policy.attempts == 1:
            policy.deliver(call)
        elif policy.deliver(_after(None, call)) is not SKIPPED:
            self.calls.append((policy, call))

    def write(self, write: Callable[[], T]) -> T:
        """Write, each time but the last in a savepoint, until the database accepts it; return what `write` returns."""
        for number in range(1, max((policy.attempts for policy, _ in self.calls), default=1)):
            try:
                with transaction.atomic(self.using):
                    return self._attempt(write)
            except IntegrityError as refused:
                self._call_again(number, refused)
        return self._attempt(write)

    def _attempt(self, write: Callable[[], T]) -> T:
        self.is_under_way = True
        try:
            return write()
        finally:
            self.is_under_way = False

    def _call_again(self, number: int, refused: IntegrityError) -> None:
        for policy, call in self.calls:
            if policy.attempts > number:
                policy.deliver(_after(refused, call))


def _after(refused: IntegrityError | None, call: BatchCall) -> BatchCall:
    return replace(call, payload={**call.payload, "refused": refused})


# --- saves --------------------------------------------------------------------------------------------------------


def call_before(proceed: Proceed, write: TableWrite) -> Any:
    """Write a row in one of its tables; before the first table, call the receivers that wait for this."""
    instance, attempts = write.instance, write.instance._state.__dict__.get(_ATTEMPTS)
    # A model and the model that it inherits from may both have a step.
    if instance._meta.auto_created or (attempts is not None and attempts.is_under_way):
        return proceed(write)
    if _is_first(write):
        attempts = _called(write)
    if attempts is None:
        return proceed(write)
    with _kept(instance, attempts, is_last=write.is_last):
        return attempts.write(partial(proceed, write))


def _called(write: TableWrite) -> Attempts:
    """Call the receivers, and return the attempts of the save."""
    instance, attempts = write.instance, Attempts(write.using or DEFAULT_DB_ALIAS)
    carried = {"raw": write.raw, "using": write.using, "update_fields": write.update_fields, "created": creates(write)}
    payload = WritePayload(signal=pre_save, sender=type(instance), instance=instance, **carried)
    for one in receivers_before(type(instance)):
        call = _call_of(one, payload)
        if call is not None:
            attempts.call(one, [call])
    return attempts


def _is_first(write: TableWrite) -> bool:
    """Return whether this is the first table that a save writes; a fixture has a row of its own for each parent."""
    first = write.instance._meta.concrete_model
    while first._meta.parents and not write.raw:
        first = next(iter(first._meta.parents))
    return bool(write.cls is first)


def _call_of(one: Guarded, payload: WritePayload) -> Received | None:
    """Return the send as a receiver gets it in a batch; None if it is not called."""
    receiver, deferral = one.connection.receiver(), one.options.call
    if receiver is None or not isinstance(deferral, BatchDeferral) or not one.options.admits(payload):
        return None
    if one.reentrant != "allow" and is_reentered(receiver, payload):
        if one.reentrant == "raise":
            refuse(receiver, payload)
        return None
    return deferral(receiver, payload)


# The attribute of the state of an instance that is being saved, with the attempts of the save.
_ATTEMPTS = "_heliograph_attempts"


@contextmanager
def _kept(instance: Any, attempts: Attempts, *, is_last: bool) -> Iterator[None]:
    """Let an instance have its attempts until its last table is written, or an error ends the save."""
    setattr(instance._state, _ATTEMPTS, attempts)
    try:
        yield
    except BaseException:
        is_last = True
        raise
    finally:
        if is_last:
            instance._state.__dict__.pop(_ATTEMPTS, None)


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
    verify_batch(policy, receiver, policy.gives)
