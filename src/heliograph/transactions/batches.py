"""Batches: what a receiver has heard in a transaction, put together to what came of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from heliograph.changes.comparing import Change, Comparison
from heliograph.changes.current import comparison
from heliograph.changes.plans import ABSENT, PLANS, is_among
from heliograph.changes.saving import running
from heliograph.changes.tracking import ALL
from heliograph.conditions import NetPayload, watched
from heliograph.dispatch import Call, Condition
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.receivers import object_identity
from heliograph.dispatch.reentrancy import HandlingAll
from heliograph.transactions.calls import HandledCall
from heliograph.transactions.databases import database_of

Kind = Literal["created", "updated", "deleted"]


@dataclass(frozen=True)
class Event:
    """What became of one row in a transaction; of a signal that is not about a row, one send."""

    kind: Kind | None  # None for a signal that is not about a row
    signal: Any
    sender: Any
    kwargs: Mapping[str, Any]  # what the last of its sends carried, with `created` and `update_fields` for all of them
    comparison: Comparison | None = field(default=None, repr=False)
    fields: tuple[str, ...] = field(default=ALL, repr=False)

    @property
    def instance(self) -> Any:
        """The instance that was sent, in its last state; None for a signal without one."""
        return self.kwargs.get("instance")

    @cached_property
    def changes(self) -> Mapping[str, Change]:
        """What is changed by the whole transaction, by the name of the field; nothing in a row that was created.

        Raises LookupError where the receiver does not watch its model.
        """
        if self.kind == "created":
            return {}
        if self.comparison is None:
            raise LookupError(
                f"The changes of {self.instance!r} are not known: the receiver does not watch them."
                " Connect it with when=changed(...), or when=created | changed(...) to hear new rows too."
            )
        return self.comparison.all_changes() if self.fields == ALL else self.comparison.changes(self.fields)


@dataclass(frozen=True)
class Batch:
    """Everything that one receiver has heard of one sender in a transaction."""

    events: tuple[Event, ...]  # in the order in which each began

    @property
    def instances(self) -> list[Any]:
        """Each instance once, in its last state, and with its primary key if it was deleted."""
        return _instances(self.events)

    @property
    def created(self) -> list[Any]:
        """The instances of rows that are new."""
        return self._of("created")

    @property
    def updated(self) -> list[Any]:
        """The instances of rows that were there before, and still are."""
        return self._of("updated")

    @property
    def deleted(self) -> list[Any]:
        """The instances of rows that are gone."""
        return self._of("deleted")

    def _of(self, kind: Kind) -> list[Any]:
        return _instances(event for event in self.events if event.kind == kind)


def _instances(events: Iterable[Event]) -> list[Any]:
    found: dict[Hashable, Any] = {}
    for event in events:
        instance = event.instance
        if instance is not None:
            found[_row(instance)] = instance
    return list(found.values())


def _row(instance: Any) -> Hashable:
    """Return what tells that two instances are of one row; one that was never saved is a row of its own."""
    primary_key = getattr(instance, "pk", None)
    return id(instance) if primary_key is None else (type(instance), primary_key)


# --- one send ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard(Call):
    """A send that will be part of a batch, with what only the time of the send could tell."""

    when: Condition | None
    is_guarded: bool  # against being called again for the instances of its batch
    kind: Kind | None
    row: Hashable
    comparison: Comparison | None

    @property
    def group(self) -> Hashable:
        """What the sends of one batch have in common."""
        return object_identity(self.receiver), id(self.payload["sender"])


def heard(call: Call, when: Condition | None, is_guarded: bool) -> Heard:
    """Return a send as a part of a batch."""
    receiver, payload = call.receiver, call.payload
    kind = _kind(payload)
    instance = payload.get("instance")
    row = object() if kind is None else _row(instance)
    compared = None if kind is None else _compared(instance, payload.get("update_fields"))
    return Heard(receiver, payload, when, is_guarded, kind, row, compared)


def _kind(payload: Mapping[str, Any]) -> Kind | None:
    signal = payload["signal"]
    if signal is post_save or signal is pre_save:
        created = payload["created"] if signal is post_save else payload["instance"]._state.adding
        return "created" if created else "updated"
    return "deleted" if signal is post_delete or signal is pre_delete else None


def _compared(instance: Any, written: Any) -> Comparison | None:
    """Compare a row before and after a send, also one that was created."""
    if type(instance) not in PLANS:
        return None
    saving = running(instance)
    if saving is not None and saving.new is not None:
        return Comparison(saving.plan, saving.old, saving.new)
    compared = comparison(instance)
    if compared is None or written is None:
        return compared
    new = [
        value if is_among(one, written) else ABSENT
        for one, value in zip(compared.plan.fields, compared.new, strict=True)
    ]
    return compared._replace(new=new)


# --- all of them ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BatchCall(Call):
    """The call of a receiver with a batch, made unless nothing is left of what it has heard."""

    sends: Sequence[Heard]

    def make(self) -> Any:
        """Call the receiver; it is at work on all instances of the batch."""
        events = _net_events(self.sends)
        if not events:
            return SKIPPED
        call = Call(self.receiver, {**self.payload, "batch": Batch(events)})
        if not self.sends[0].is_guarded:
            return call.make()
        handling = HandlingAll(self.receiver, [one.payload for one in self.sends])
        return HandledCall(self.receiver, call.payload, call, handling).make()


def together(sends: Sequence[Heard]) -> BatchCall:
    """Return the call that the sends of one batch come to."""
    payload = sends[0].payload
    signals = {id(one.payload["signal"]) for one in sends}
    return BatchCall(
        sends[0].receiver,
        {
            "signal": payload["signal"] if len(signals) == 1 else None,
            "sender": payload["sender"],
            "using": database_of(payload) or DEFAULT_DB_ALIAS,
        },
        sends,
    )


def _net_events(sends: Sequence[Heard]) -> tuple[Event, ...]:
    rows: dict[Hashable, list[Heard]] = {}
    for one in sends:
        rows.setdefault(one.row, []).append(one)
    return tuple(event for of_row in rows.values() if (event := _net(of_row)) is not None)


def _net(sends: list[Heard]) -> Event | None:
    """Return what the sends about one row come to; None if it is nothing, or does not meet the condition."""
    first, last = sends[0], sends[-1]
    kind = _net_kind(first.kind, last.kind)
    if kind is None and first.kind is not None:
        return None
    payload = NetPayload(last.payload)
    if "created" in payload:
        payload["created"] = kind == "created"
    if "update_fields" in payload and len(sends) > 1:
        payload["update_fields"] = _all_fields([one.payload.get("update_fields") for one in sends])
    payload.comparison = None if kind == "created" else _net_comparison(sends)
    if last.when is not None and not last.when.holds(payload):
        return None
    signal, sender = payload.pop("signal"), payload.pop("sender")
    fields = ALL if last.when is None else watched(last.when) or ALL
    return Event(kind, signal, sender, {**payload}, payload.comparison, fields)


def _net_kind(first: Kind | None, last: Kind | None) -> Kind | None:
    """Return what became of a row, of which the first send tells whether it was there, and the last whether it is."""
    was_there, is_there = first != "created", last != "deleted"
    if first is None or not (was_there or is_there):
        return None
    if was_there and is_there:
        return "updated"
    return "created" if is_there else "deleted"


def _all_fields(named: list[Any]) -> frozenset[str] | None:
    """Return the fields that several saves have written; None are all."""
    return None if None in named else frozenset().union(*named)


def _net_comparison(sends: list[Heard]) -> Comparison | None:
    """Compare a row before the first send with the row after the last one."""
    compared = [one.comparison for one in sends if one.comparison is not None]
    if not compared:
        return None
    plan, old, new = compared[0].plan, compared[0].old, compared[0].new
    for one in compared[1:]:
        if one.plan is not plan:  # somebody has begun to watch more fields: nobody knows what they were at first
            plan, old, new = one.plan, one.plan.unknown, one.new
        new = [before if value is ABSENT else value for before, value in zip(new, one.new, strict=True)]
    return Comparison(plan, old, new)
