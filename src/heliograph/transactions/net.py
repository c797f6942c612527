"""Netting: the batch of net changes for a receiver, made from all sends that it received in a transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

from django.db import DEFAULT_DB_ALIAS
from django.db.models.base import ModelBase
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from heliograph.changes.comparing import Comparison
from heliograph.changes.current import comparison, deleted, without_wrapper
from heliograph.changes.plans import ABSENT, PLANS, Plan, is_among
from heliograph.changes.rows import Created, Deleted, Kind, Rows, normalised
from heliograph.changes.saving import running
from heliograph.changes.values import SCALARS, UNKNOWN, kept
from heliograph.conditions import NetPayload, asks_for_instance
from heliograph.dispatch import Call, Condition
from heliograph.dispatch.connections import Receiver, object_identity
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.observers import noted_in
from heliograph.dispatch.reentrancy import Handling, HandlingAll, RowId, at_work, key_of
from heliograph.dispatch.routes import value_key
from heliograph.transactions.batches import Batch, Event, Row, RowBatch, RowEvents, SentEvent, Told
from heliograph.transactions.choosing import those_of
from heliograph.transactions.database_of_send import database_of
from heliograph.transactions.deleted_values import Record, record_of, with_values
from heliograph.transactions.late_calls import make_late, with_key
from heliograph.transactions.relation_pairs import is_of_pairs, net_of_pairs
from heliograph.transactions.row_identity import Table, parts_of, rows_in, table_of

if TYPE_CHECKING:
    from heliograph.transactions.collect import BatchDeferral


@dataclass(frozen=True)
class Heard(Call, ABC):
    """A send, or the rows of a bulk write, kept for a batch."""

    deferral: BatchDeferral
    send: int | None  # the number under which observers know the send
    table: Table | None  # the table of its row, in the schema at that time; None without a model or a database

    def make(self) -> Any:
        """Call the receiver with a batch of nothing else."""
        return together([self]).make()

    @property
    def group(self) -> Hashable:
        """The receiver and the table (or sender) of a batch; a proxy shares the table of its concrete model."""
        return object_identity(self.receiver), value_key(self.sender) if self.table is None else self.table

    @abstractmethod
    def sends(self) -> Iterator[ReceivedSend]:
        """Yield the sends, one for each row."""


# The kind of write that a send reports. "absent" is the deletion of a row that was not there any more.
Fate = Kind | Literal["absent"]


@dataclass(frozen=True)
class ReceivedSend(Heard):
    """A send, with the facts about its row that are known only at the time of the send."""

    kind: Fate | None
    primary_key: Any
    comparison: Comparison | None
    row: Row | None = None  # of a bulk write, whose instance is not in the payload
    record: Record | None = None  # of a deletion that Django makes by the instance

    def sends(self) -> Iterator[ReceivedSend]:
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
class ReceivedRows(Heard):
    """The rows of a bulk write, each of which counts as a send; the payload has the values that they share."""

    rows: Rows
    new: tuple[Plan, Sequence[Any]] | None  # the values of new rows, kept since their instances may be changed later

    def sends(self) -> Iterator[ReceivedSend]:
        rows = self.rows
        common = (self.receiver, self.payload, self.deferral, self.send, self.table, rows.kind)
        for at, key in enumerate(rows.pks):
            yield ReceivedSend(*common, key, self._comparison(at), Row(rows, at))

    def _comparison(self, at: int) -> Comparison | None:
        """Compare a row before and after the write, also a row that is new or deleted."""
        rows = self.rows
        if isinstance(rows, Created) and self.new is not None:
            plan, values = self.new
            return Comparison(plan, plan.unknown, values[at])
        if isinstance(rows, Deleted) and (watched := PLANS.get(rows.model)) is not None:
            return Comparison(watched, watched.values_of(rows.values[at]), watched.nothing)
        return rows.comparison(at)

    def due(self) -> Rows:
        """Return the rows for which the condition of the receiver holds."""
        when = self.deferral.when
        return self.rows if when is None else those_of(self.rows, when, self.payload)


def heard(call: Call, deferral: BatchDeferral) -> Heard:
    """Return a send, kept for a batch."""
    kind, instance, key = _kind(call.payload), call.payload.get("instance"), key_of(call.payload.get("instance"))
    is_asked = kind is not None and bool(deferral.fields)
    compared = _compared(instance, kind, call.payload.get("update_fields")) if is_asked else None
    if kind is not None and key is not None:
        key = normalised(instance, key)
    record = record_of(call.sender, key) if kind == "deleted" else None
    common = (call.receiver, call.payload, deferral, noted_in(), _table(call.payload))
    return ReceivedSend(*common, kind, key, compared, record=record)


def heard_rows(receiver: Receiver, payload: dict[str, Any], deferral: BatchDeferral, rows: Rows) -> Heard:
    """Return the rows of a bulk write, kept for a batch."""
    plan, new = PLANS.get(rows.model) if deferral.fields else None, None
    if plan is not None and isinstance(rows, Created):
        new = plan, [_of_instance(plan, one) for one in rows.made]
    return ReceivedRows(receiver, payload, deferral, noted_in(), _table(payload), rows, new)


def _of_instance(plan: Plan, instance: Any) -> Sequence[Any]:
    values = plan.of_instance(without_wrapper(instance))
    return values if SCALARS.issuperset(map(type, values)) else [*map(kept, values)]


def _table(payload: Mapping[str, Any]) -> Table | None:
    sender, using = payload["sender"], payload.get("using")
    return table_of(sender, using) if isinstance(sender, ModelBase) and isinstance(using, str) else None


def _kind(payload: Mapping[str, Any]) -> Kind | None:
    signal = payload["signal"]
    if signal is post_save or signal is pre_save:
        is_new = payload["instance"]._state.adding if signal is pre_save else payload.get("created")
        return "created" if is_new else "updated"
    return "deleted" if signal is post_delete or signal is pre_delete else None


def _compared(instance: Any, kind: Kind | None, written: Any) -> Comparison | None:
    """Compare a row before and after a send, also a row that was created or deleted."""
    instance = without_wrapper(instance)
    if type(instance) not in PLANS:
        return None
    if kind == "deleted":
        return deleted(instance)
    saving = running(instance)
    if saving is not None and saving.new is not None:
        return Comparison(saving.plan, saving.old, saving.new, None, saving.using)
    compared = comparison(instance)
    if compared is None or written is None:
        return compared
    values = zip(compared.plan.fields, compared.new, strict=True)
    return compared._replace(new=[value if is_among(field, written) else ABSENT for field, value in values])


# --- all of them ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BatchCall(Call):
    """The call of a receiver with a batch; it is skipped if the batch has no events."""

    sends: Sequence[Heard]

    def make(self) -> Any:
        """Call the receiver; it is at work on all instances of the batch."""
        first = self.sends[0]
        batch, handling = self.batch_and_handling()
        if not batch.events:
            return SKIPPED
        call = Call(self.receiver, {**self.payload, "batch": batch})
        return make_late(call, handling if first.deferral.is_guarded else None, first.send)

    def batch_and_handling(self) -> tuple[Batch, Handling]:
        """Return the batch, and the receiver at work on its rows."""
        return self._of_rows() if _are_apart(self.sends) else self._of_sends()

    def _of_rows(self) -> tuple[Batch, Handling]:
        """Return a batch of bulk writes that share no row, without a look at each row."""
        heard = [(one, rows) for one in self.sends if isinstance(one, ReceivedRows) and len(rows := one.due())]
        due = [Told(rows, one.payload, one.deferral.fields) for one, rows in heard]
        tables = [one.table for one, _ in heard if one.table is not None]
        return RowBatch(RowEvents(due)), HandlingRows(self.receiver, [told.rows for told in due], tables)

    def _of_sends(self) -> tuple[Batch, Handling]:
        sends = [send for one in self.sends for send in one.sends()]
        nets = {event: of_row for of_row in _rows(sends) if (event := _net(of_row)) is not None}
        heard = [one for of_row in nets.values() for one in of_row]
        written = ((one.sender, one.table, one.primary_key) for one in heard if one.row is not None)
        rows = {row for model, table, key in written if table is not None for row in rows_in(model, table, [key])}
        payloads = [one.payload for one in heard if one.row is None]
        return Batch(tuple(nets)), HandlingAll(self.receiver, payloads, rows)


def _are_apart(sends: Sequence[Heard]) -> bool:
    """Return whether all these are bulk writes, and no two of them wrote the same row."""
    writes = [one.rows for one in sends if isinstance(one, ReceivedRows)]
    if len(writes) < len(sends):
        return False
    return len(sends) == 1 or len({key for rows in writes for key in rows.pks}) == sum(map(len, writes))


class HandlingRows(Handling):
    """A receiver at work on the rows of bulk writes."""

    __slots__ = ("_rows", "tables", "writes")

    def __init__(self, receiver: Receiver, writes: Sequence[Rows], tables: Sequence[Table] | None = None) -> None:
        super().__init__(receiver, {})
        self.writes = writes
        self.tables = [table_of(rows.model, rows.using) for rows in writes] if tables is None else tables
        self._rows: set[RowId] | None = None

    def rows(self) -> Collection[RowId]:
        if self._rows is None:  # made when it is needed, which is seldom
            written = zip(self.writes, self.tables, strict=True)
            self._rows = {row for rows, table in written for row in rows_in(rows.model, table, rows.pks)}
        return self._rows

    def __str__(self) -> str:
        model = self.writes[0].model.__name__ if self.writes else "no model"
        return f"{full_name(self.receiver)} ({sum(map(len, self.writes))} rows of {model})"


def not_at_work(receiver: Receiver, rows: Rows) -> Rows:
    """Return the rows that a receiver is not at work on already."""
    handled = [row for handling in at_work() if handling.receiver == receiver for row in handling.rows()]
    tables = {part.table for part in parts_of(rows.model, rows.using) if part.has_same_key} if handled else ()
    busy = {key for table, key in handled if table in tables}
    return rows.only([at for at, key in enumerate(rows.pks) if key not in busy]) if busy else rows


def _rows(sends: Sequence[ReceivedSend]) -> list[list[ReceivedSend]]:
    """Return the sends in groups, one for each row or relation, in the order of each group's first send.

    A send about neither is a group of its own.
    """
    rows: list[list[ReceivedSend]] = []
    found: dict[Hashable, list[ReceivedSend]] = {}
    for one in sends:
        key, new = _key_and_new(one)
        if key not in found and new in found:
            found[key] = found.pop(new)
        if key not in found:
            rows.append(found.setdefault(key, []))
        found[key].append(one)
    return rows


def _key_and_new(one: ReceivedSend) -> tuple[Hashable, Hashable]:
    """Return the group of a send, and the group that a send about the same row had while the row had no key."""
    if is_of_pairs(one.signal):
        return ("pairs", one.payload["field"]), None
    if one.kind is None:
        return ("send", id(one)), None
    new = ("new", id(one.payload.get("instance"))) if one.row is None else ("new", id(one.row.rows), one.row.at)
    return (new, new) if one.primary_key is None else (("key", one.primary_key), new)


def together(sends: Sequence[Heard]) -> BatchCall:
    """Return one call with the batch of these sends."""
    first = sends[0]
    is_one_signal = all(one.signal is first.signal for one in sends)
    are_proxies = first.table is not None and any(one.sender is not first.sender for one in sends)
    payload = {
        "signal": first.signal if is_one_signal else None,
        "sender": first.sender._meta.concrete_model if are_proxies else first.sender,
        "using": database_of(first.payload) or DEFAULT_DB_ALIAS,
    }
    return BatchCall(first.receiver, payload, sends)


def _net(sends: list[ReceivedSend]) -> Event | None:
    """Return the net event of the sends about one row; None if nothing changed, or the condition does not hold."""
    if is_of_pairs(sends[0].signal):
        sends = net_of_pairs(sends)
        if not sends:
            return None
    # pre_save does not know whether a row is new: Django takes each instance that was not loaded for a new one.
    first = next((one for one in sends if one.signal is not pre_save), sends[0])
    last, kind = sends[-1], _net_kind(first.kind, sends[-1].kind)
    if kind is None and last.kind is not None:
        return None
    payload = _net_payload(sends, kind)
    # A receiver may have one condition for saves and another for deletions: the last send decides which is tested.
    whens = [*{id(one.deferral.when): one.deferral.when for one in sends if _is_like(one, last)}.values()]
    told = payload if last.row is None else _with_instance(payload, last.row, whens)
    if not any(when is None or when.holds(told) for when in whens):
        return None
    kwargs = {name: payload[name] for name in last.payload if name not in ("signal", "sender")}
    fields = tuple(dict.fromkeys(name for one in sends for name in one.deferral.fields))
    return SentEvent(kind, last.signal, last.sender, kwargs, _net_comparison(sends), fields, last.row)


def _is_like(one: ReceivedSend, last: ReceivedSend) -> bool:
    """Return whether both sends are about a deletion, or neither is."""
    return (one.kind in _GONE) is (last.kind in _GONE)


_GONE = ("deleted", "absent")


def _with_instance(payload: NetPayload, row: Row, whens: Iterable[Condition | None]) -> NetPayload:
    """Return a payload with the instance of a row, if a condition may ask for it."""
    if not any(asks_for_instance(leaf) for when in whens if when is not None for leaf in when.leaves()):
        return payload
    told = NetPayload(payload, instance=row.instance)
    told.comparison = payload.comparison
    return told


def _net_kind(first: Fate | None, last: Fate | None) -> Kind | None:
    """Return the net kind of write: the first send says whether the row existed, the last whether it exists now."""
    was_there, is_there = first not in ("created", "absent"), last not in _GONE
    if first is None or not (was_there or is_there):
        return None
    if was_there and is_there:
        return "updated"
    return "created" if is_there else "deleted"


def _net_payload(sends: list[ReceivedSend], kind: Kind | None) -> NetPayload:
    """Return what one send would have carried in place of these."""
    last = sends[-1]
    payload = NetPayload(last.payload if last.row is not None else with_key(last.payload, last.primary_key))
    if kind is not None:
        payload["created"] = kind == "created"
    if "update_fields" in payload and len(sends) > 1:
        payload["update_fields"] = _all_fields([one.payload.get("update_fields") for one in sends])
    payload.comparison = None if kind == "created" else _net_comparison(sends)
    return payload


def _all_fields(named: list[Any]) -> frozenset[str] | None:
    """Return the fields that several saves have written; None are all."""
    return None if None in named else frozenset().union(*named)


def _net_comparison(sends: list[ReceivedSend]) -> Comparison | None:
    """Compare a row before the first send with the row after the last one."""
    compared = [one.comparison for one in sends if one.comparison is not None]
    return reduce(_followed, compared) if compared else None


def _followed(first: Comparison, second: Comparison) -> Comparison:
    """Return what two comparisons of a row come to, one after the other."""
    if first.plan is second.plan:
        new = [before if value is ABSENT else value for before, value in zip(first.new, second.new, strict=True)]
        return Comparison(first.plan, first.old, new, None, first.using)
    values = {field: [old, new] for field, old, new in zip(first.plan.fields, first.old, first.new, strict=True)}
    for field, old, new in zip(second.plan.fields, second.old, second.new, strict=True):
        # Where the first one may have written a field that nobody watched, nobody knows what it was.
        before = values.setdefault(field, [UNKNOWN if is_among(field, first.written) else old, ABSENT])
        if new is not ABSENT:
            before[1] = new
    plan = first.plan.joined(second.plan, tuple(values))
    written = None if first.written is None or second.written is None else {*first.written, *second.written}
    befores, afters = zip(*values.values(), strict=True)
    return Comparison(plan, befores, afters, written, first.using)
