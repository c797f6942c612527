"""Netting: what all that a receiver has heard in a transaction comes to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from heliograph.changes.comparing import Comparison
from heliograph.changes.current import comparison
from heliograph.changes.plans import ABSENT, PLANS, is_among
from heliograph.changes.saving import running
from heliograph.conditions import NetPayload
from heliograph.dispatch import Call
from heliograph.dispatch.guarded import SKIPPED
from heliograph.dispatch.observers import noted_in
from heliograph.dispatch.receivers import object_identity
from heliograph.dispatch.reentrancy import HandlingAll, key_of
from heliograph.dispatch.routes import value_key
from heliograph.transactions.batches import Batch, Event, Kind
from heliograph.transactions.calls import make_late, with_key
from heliograph.transactions.databases import database_of

if TYPE_CHECKING:
    from heliograph.transactions.deferral import BatchDeferral


@dataclass(frozen=True)
class Heard(Call):
    """A send that will be part of a batch, with what only the time of the send could tell."""

    deferral: BatchDeferral
    kind: Kind | None
    primary_key: Any
    comparison: Comparison | None
    send: int | None  # the number under which observers know it

    def make(self) -> Any:
        """Call the receiver with a batch of nothing else."""
        return together([self]).make()

    @property
    def group(self) -> Hashable:
        """What the sends of one batch have in common."""
        return object_identity(self.receiver), value_key(self.sender)


def heard(call: Call, deferral: BatchDeferral) -> Heard:
    """Return a send as a part of a batch."""
    kind, instance = _kind(call.payload), call.payload.get("instance")
    is_asked = kind is not None and bool(deferral.fields)
    compared = _compared(instance, call.payload.get("update_fields")) if is_asked else None
    return Heard(call.receiver, call.payload, deferral, kind, key_of(instance), compared, noted_in())


def _kind(payload: Mapping[str, Any]) -> Kind | None:
    signal = payload["signal"]
    if signal is post_save or signal is pre_save:
        is_new = payload["instance"]._state.adding if signal is pre_save else payload.get("created")
        return "created" if is_new else "updated"
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
    values = zip(compared.plan.fields, compared.new, strict=True)
    return compared._replace(new=[value if is_among(field, written) else ABSENT for field, value in values])


# --- all of them ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BatchCall(Call):
    """The call of a receiver with a batch, made unless nothing is left of what it has heard."""

    sends: Sequence[Heard]

    def make(self) -> Any:
        """Call the receiver; it is at work on all instances of the batch."""
        nets = {event: sends for sends in _rows(self.sends) if (event := _net(sends)) is not None}
        if not nets:
            return SKIPPED
        first = self.sends[0]
        call = Call(self.receiver, {**self.payload, "batch": Batch(tuple(nets))})
        payloads = [one.payload for sends in nets.values() for one in sends]
        handling = HandlingAll(self.receiver, payloads) if first.deferral.is_guarded else None
        return make_late(call, handling, first.send)


def _rows(sends: Sequence[Heard]) -> list[list[Heard]]:
    """Return the sends about each row, in the order in which these began; others are by themselves."""
    rows: list[list[Heard]] = []
    found: dict[Hashable, list[Heard]] = {}
    for one in sends:
        if one.kind is None:
            rows.append([one])
            continue
        key: Hashable = ("key", one.primary_key)
        new: Hashable = ("new", id(one.payload["instance"]))  # as pre_save tells of it, before there is a key
        if one.primary_key is None:
            key = new
        elif key not in found and new in found:
            found[key] = found.pop(new)
        if key not in found:
            rows.append(found.setdefault(key, []))
        found[key].append(one)
    return rows


def together(sends: Sequence[Heard]) -> BatchCall:
    """Return the call that the sends of one batch come to."""
    first = sends[0]
    is_one_signal = all(one.signal is first.signal for one in sends)
    payload = {
        "signal": first.signal if is_one_signal else None,
        "sender": first.sender,
        "using": database_of(first.payload) or DEFAULT_DB_ALIAS,
    }
    return BatchCall(first.receiver, payload, sends)


def _net(sends: list[Heard]) -> Event | None:
    """Return what the sends about one row come to; None if it is nothing, or does not meet the condition."""
    # What pre_save takes for a new row may be there.
    first = next((one for one in sends if one.signal is not pre_save), sends[0])
    last, kind = sends[-1], _net_kind(first.kind, sends[-1].kind)
    if kind is None and last.kind is not None:
        return None
    payload = _net_payload(sends, kind)
    whens = {id(when): when for when in (one.deferral.when for one in sends)}  # some have no hash
    if not any(when is None or when.holds(payload) for when in whens.values()):
        return None
    kwargs = {name: payload[name] for name in last.payload if name not in ("signal", "sender")}
    fields = tuple(dict.fromkeys(name for one in sends for name in one.deferral.fields))
    return Event(kind, last.signal, last.sender, kwargs, payload.comparison, fields)


def _net_kind(first: Kind | None, last: Kind | None) -> Kind | None:
    """Return what became of a row, of which the first send tells whether it was there, and the last whether it is."""
    was_there, is_there = first != "created", last != "deleted"
    if first is None or not (was_there or is_there):
        return None
    if was_there and is_there:
        return "updated"
    return "created" if is_there else "deleted"


def _net_payload(sends: list[Heard], kind: Kind | None) -> NetPayload:
    """Return what one send would have carried in place of these."""
    last = sends[-1]
    payload = NetPayload(with_key(last.payload, last.primary_key))
    if kind is not None:
        payload["created"] = kind == "created"
    if "update_fields" in payload and len(sends) > 1:
        payload["update_fields"] = _all_fields([one.payload.get("update_fields") for one in sends])
    payload.comparison = None if kind == "created" else _net_comparison(sends)
    return payload


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
