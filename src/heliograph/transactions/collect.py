"""The collection of sends for the batch of a receiver: each send is kept with the facts of its time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from typing import Any, Literal

from django.db.models.base import ModelBase
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from heliograph.changes.comparing import Comparison
from heliograph.changes.current import comparison, deleted, without_wrapper
from heliograph.changes.plans import ABSENT, DERIVED, PLANS, is_among, value_of
from heliograph.changes.rows import Deleted, Kind, Rows, normalised
from heliograph.changes.under_way import Saving, running, written_by
from heliograph.changes.values import NO_ROW, SCALARS, UNKNOWN, kept
from heliograph.conditions import watched
from heliograph.context.kept_context import Context, current_context
from heliograph.dispatch import Call
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.observed_calls import current_call
from heliograph.dispatch.reentrancy import key_of
from heliograph.dispatch.routes import value_key
from heliograph.dispatch.scopes import watch
from heliograph.transactions.batches import Row
from heliograph.transactions.deleted_values import Record, record_of, with_values
from heliograph.transactions.late_calls import Deferral
from heliograph.transactions.row_identity import Table, table_of


@dataclass(frozen=True, repr=False)
class BatchDeferral(Deferral):
    """How sends are kept for a receiver that is called with a batch, of which its condition is asked."""

    together: Callable[[Sequence[Received]], Call]  # makes one call of several sends
    identity: Hashable  # of the receiver

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields whose changes the receiver asks for; ALL for every field, empty for none."""
        return () if self.options.when is None else watched(self.options.when)

    def __call__(self, receiver: Receiver, payload: dict[str, Any]) -> ReceivedSend:
        call = self.options.call(receiver, payload)
        payload = call.payload
        instance, sender, using = payload.get("instance"), payload["sender"], payload.get("using")
        kind, key = _kind(payload), key_of(instance)
        compared = _compared(instance, kind, payload.get("update_fields")) if kind is not None and self.fields else None
        if kind is not None and key is not None:
            key = normalised(instance, key)
            if compared is not None and kind != "created" and compared.old[0] is not key:
                key = _stored_key(compared, key)
        record = record_of(sender, key) if kind == "deleted" else None
        save = _save_of(instance) if compared is not None and payload["signal"] is pre_save else None
        table = table_of(sender, using) if isinstance(sender, ModelBase) and isinstance(using, str) else None
        context = current_context.get()
        if context.is_open:
            context = context.pinned()
        common = (call.receiver, payload, self, current_call() if watch else None, table, context)
        return ReceivedSend(*common, kind, key, compared, record=record, save=save, held=instance)


def _stored_key(compared: Comparison, key: Any) -> Any:
    """Return the primary key that a row has, which a collation may have found by another one: "de" by "DE"."""
    stored = compared.old[: compared.plan.keys]
    if UNKNOWN in stored or NO_ROW in stored:
        return key
    return compared.plan.key_of([*map(value_of, stored)])


@dataclass(frozen=True)
class Received(Call, ABC):
    """A send, or the rows of a bulk write, kept for a batch."""

    deferral: BatchDeferral
    send: int | None  # the number under which observers know the send
    table: Table | None  # the table of its row, in the schema at that time; None without a model or a database
    context: Context  # of the send

    def make(self) -> Any:
        """Call the receiver with a batch of nothing else."""
        return self.deferral.together([self]).make()

    @cached_property
    def group(self) -> Hashable:
        """The receiver and the table (or sender) of a batch; a proxy shares the table of its concrete model."""
        return self.deferral.identity, self.table or value_key(self.sender)

    @abstractmethod
    def sends(self) -> Iterator[ReceivedSend]:
        """Yield the sends, one for each row."""


# The kind of write that a send reports. "absent" is the deletion of a row that did not exist any more.
Fate = Kind | Literal["absent"]


@dataclass(frozen=True)
class ReceivedSend(Received):
    """A send, with the facts about its row that are known only at the time of the send."""

    kind: Fate | None
    primary_key: Any
    comparison: Comparison | None
    row: Row | None = None  # the row, if a bulk write has written it: its instance is not in the payload
    record: Record | None = None  # the record of the deletion, if Django deletes the row by its instance
    save: Saving | None = None  # the save that writes the row after the send
    held: Any = None  # the instance that the writing code holds; None if it holds none

    def sends(self) -> Iterator[ReceivedSend]:
        written = None if self.save is None else self.save.comparison  # None until the row is written
        if written is not None:
            yield replace(self, comparison=written, save=None)
        else:
            yield self if self.record is None else self._as_recorded(self.record)

    def _as_recorded(self, record: Record) -> ReceivedSend:
        """Return the send of a deletion with the values from the database, since its instance may be stale."""
        values = record.values_of(self.sender, self.primary_key)
        if values is None:
            return replace(self, kind="absent", record=None)
        payload = {**self.payload, "instance": with_values(self.payload["instance"], values)}
        return replace(self, payload=payload, comparison=self._compared_with(values), record=None)

    def _compared_with(self, values: Mapping[str, Any]) -> Comparison | None:
        """Compare the values of a deleted row with `NO_ROW`, also if the receiver asks for no changes."""
        plan = PLANS.get(self.sender)
        compared = self.comparison
        if compared is None and plan is not None:
            compared = Comparison(plan, plan.unknown, plan.nothing)
        if compared is None:
            return None
        names, locked = compared.plan.names, compared.plan.locked_at_end if self.comparison else ()
        olds = zip(names, compared.old, strict=True)
        # Values that were locked are kept: on MariaDB, Django empties foreign keys between the lock and the DELETE.
        return compared._replace(old=[old if name in locked else values.get(name, UNKNOWN) for name, old in olds])


@dataclass(frozen=True)
class ReceivedRows(Received):
    """The rows of a bulk write, each of which counts as a send; the payload has the values that they share."""

    rows: Rows

    def sends(self) -> Iterator[ReceivedSend]:
        rows = self.rows
        common = (self.receiver, self.payload, self.deferral, self.send, self.table, self.context, rows.kind)
        sent = rows.sent_instances or repeat(None)
        for at, (key, held) in enumerate(zip(rows.pks, sent, strict=False)):
            yield ReceivedSend(*common, key, self._comparison(at), Row(rows, at), held=held)

    def _comparison(self, at: int) -> Comparison | None:
        """Compare a row before and after the write, also a row that is new or deleted."""
        rows = self.rows
        if isinstance(rows, Deleted) and (watched := PLANS.get(rows.model)) is not None:
            return Comparison(watched, watched.from_row(rows.values[at]), watched.nothing)
        return rows.written(at)


def received_rows(receiver: Receiver, payload: dict[str, Any], deferral: BatchDeferral, rows: Rows) -> Received:
    """Return the rows of a bulk write, kept for a batch."""
    context = current_context.get()
    if context.is_open:
        context = context.pinned()
    send, table = current_call() if watch else None, table_of(rows.model, rows.using)
    return ReceivedRows(receiver, payload, deferral, send, table, context, rows)


def _kind(payload: Mapping[str, Any]) -> Kind | None:
    signal = payload["signal"]
    if signal is post_save or signal is pre_save:
        is_new = payload.get("created", signal is pre_save and payload["instance"]._state.adding)
        return "created" if is_new else "updated"
    return "deleted" if signal is post_delete or signal is pre_delete else None


def _save_of(instance: Any) -> Saving | None:
    """Return the save in which pre_save is sent: it knows later what it has written, which other receivers change."""
    save = running(without_wrapper(instance))
    return save if type(save) is Saving else None


def _compared(instance: Any, kind: Kind | None, written: Any) -> Comparison | None:
    """Compare a row before and after a send, also a row that was created or deleted."""
    if type(instance) not in PLANS:
        instance = without_wrapper(instance)
        if type(instance) not in PLANS:
            return None
    if kind == "deleted":
        return deleted(instance)
    compared = written_by(instance)
    if compared is not None:
        return compared
    compared = _now(instance)
    if written is None:
        return compared
    values = zip(compared.plan.fields, compared.new, strict=True)
    return compared._replace(new=[value if is_among(field, written) else ABSENT for field, value in values])


def _now(instance: Any) -> Comparison:
    """Compare a row with what its instance has now, of which nothing may be changed in place later."""
    plan = PLANS[type(instance)]
    compared = comparison(instance) or Comparison(plan, plan.unknown, plan.of_instance(instance))
    if SCALARS.issuperset(map(type, compared.new)):
        return compared
    return compared._replace(new=[one if one is ABSENT or one is DERIVED else kept(one) for one in compared.new])
