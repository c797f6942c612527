"""The net batch of a receiver: one event for each row, made of all sends about the row in a transaction.

A row that was saved three times is one event, from its values before the first save to its values after the last one. A
row that was created and deleted in the transaction is none.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import pre_save

from heliograph.changes.comparing import Comparison
from heliograph.changes.plans import ABSENT, is_among
from heliograph.changes.rows import Kind
from heliograph.changes.values import UNKNOWN
from heliograph.conditions import NetPayload, asks_for_instance
from heliograph.context.agreement import agreed
from heliograph.context.kept_context import Context
from heliograph.dispatch import Call, Condition
from heliograph.dispatch.reentrancy import Handling, HandlingAll
from heliograph.dispatch.skip_reasons import NoNetChange, NoRowIsDue, SkipReason
from heliograph.transactions.batches import Batch, Event, Row, RowBatch, RowEvents, SentEvent, WrittenRows
from heliograph.transactions.choosing import those_of
from heliograph.transactions.collect import Fate, Received, ReceivedRows, ReceivedSend
from heliograph.transactions.database_of_send import alias_of_send
from heliograph.transactions.late_calls import make_late, skipped, with_key
from heliograph.transactions.relation_pairs import is_of_pairs, net_of_pairs
from heliograph.transactions.row_identity import rows_in
from heliograph.transactions.rows_at_work import HandlingRows


@dataclass(frozen=True)
class BatchCall(Call):
    """The call of a receiver with a batch; it is skipped if the batch has no events."""

    sends: Sequence[Received]

    def make(self) -> Any:
        """Call the receiver, which counts as at work on all rows of the batch."""
        found = self.batch_and_handling()
        if found is None:
            return skipped(self, self.sends[0].send, self._reason())
        (batch, handling), first = found, self.sends[0]
        call = Call(self.receiver, {**self.payload, "batch": batch})
        guard = handling if first.deferral.options.reentrant != "allow" else None
        return make_late(call, guard, first.send, first.context if len(self.sends) == 1 else self.context)

    def _reason(self) -> SkipReason:
        """Return why the batch has no events."""
        whens = [one.deferral.options.when for one in self.sends]
        return NoNetChange() if None in whens else NoRowIsDue(whens[0])

    @property
    def context(self) -> Context:
        """Return the context on which the sends agree."""
        return agreed(one.context for one in self.sends)

    def batch_and_handling(self) -> tuple[Batch, Handling | None] | None:
        """Return the batch, and the receiver at work on its rows, if that matters; None if the batch has no events."""
        return self._of_rows() if _are_apart(self.sends) else self._of_sends()

    def _of_rows(self) -> tuple[Batch, Handling] | None:
        """Return a batch of bulk writes that share no row: its events are made when the receiver looks at one."""
        writes = [one for one in self.sends if isinstance(one, ReceivedRows)]
        chosen = [(one, those_of(one.rows, one.deferral.options.when, one.payload)) for one in writes]
        found = [(one, rows) for one, rows in chosen if rows is one.rows or len(rows)]
        if not found:
            return None
        due = [WrittenRows(rows, one.payload, one.deferral.fields, one.context) for one, rows in found]
        tables = [one.table for one, _ in found if one.table is not None]
        return RowBatch(RowEvents(due)), HandlingRows(self.receiver, [written.rows for written in due], tables)

    def _of_sends(self) -> tuple[Batch, Handling | None] | None:
        sends = [send for one in self.sends for send in one.sends()]
        if len(sends) == 1 and sends[0].row is None and sends[0].payload.get("instance") is not None:
            event = _net(sends)
            return None if event is None else (Batch((event,)), Handling(self.receiver, sends[0].payload))
        groups = _rows(sends) if len(sends) > 1 else [sends]
        nets = {event: of_row for of_row in groups if (event := _net(of_row)) is not None}
        if not nets:
            return None
        is_guarded = self.sends[0].deferral.options.reentrant != "allow"
        return Batch(tuple(nets)), self._handling(nets.values()) if is_guarded else None

    def _handling(self, nets: Iterable[list[ReceivedSend]]) -> Handling:
        """Return the receiver at work on the rows of a batch, given by the sends of each event."""
        netted = [one for of_row in nets for one in of_row]
        written = ((one.sender, one.table, one.primary_key) for one in netted if one.row is not None)
        rows = {row for model, table, key in written if table is not None for row in rows_in(model, table, [key])}
        payloads = [one.payload for one in netted if one.row is None]
        is_single = len(payloads) == 1 and not rows and payloads[0].get("instance") is not None
        return Handling(self.receiver, payloads[0]) if is_single else HandlingAll(self.receiver, payloads, rows)


def _are_apart(sends: Sequence[Received]) -> bool:
    """Return whether all these are bulk writes, and no two of them wrote the same row."""
    writes = [one.rows for one in sends if isinstance(one, ReceivedRows)]
    if len(writes) < len(sends):
        return False
    return len(sends) == 1 or len({key for rows in writes for key in rows.pks}) == sum(map(len, writes))


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
    if one.kind is None:
        return (("pairs", one.payload["field"]), None) if is_of_pairs(one.signal) else (("send", id(one)), None)
    new = ("new", id(one.payload.get("instance"))) if one.row is None else ("new", id(one.row.rows), one.row.at)
    return (new, new) if one.primary_key is None else (("key", one.primary_key), new)


def together(sends: Sequence[Received]) -> BatchCall:
    """Return one call with the batch of these sends."""
    first, *others = sends
    signal, sender, using = first.payload["signal"], first.payload["sender"], first.payload.get("using")
    is_one_signal = all(one.signal is signal for one in others)
    are_proxies = first.table is not None and any(one.sender is not sender for one in others)
    payload = {
        "signal": signal if is_one_signal else None,
        "sender": sender._meta.concrete_model if are_proxies else sender,
        "using": using if isinstance(using, str) else alias_of_send(first.payload) or DEFAULT_DB_ALIAS,
    }
    return BatchCall(first.receiver, payload, sends)


def _net(sends: list[ReceivedSend]) -> Event | None:
    """Return the net event of the sends about one row; None if nothing changed, or the condition does not hold."""
    if sends[0].kind is None and is_of_pairs(sends[0].signal):
        sends = net_of_pairs(sends)
        if not sends:
            return None
    # Most rows are sent once in a transaction: what several sends have to be asked for is known then.
    sends = _in_order_of_writes(sends) if len(sends) > 1 else sends
    last, kind = sends[-1], _net_kind(_first(sends).kind, sends[-1].kind)
    if kind is None and last.kind is not None:
        return None
    compared = _net_comparison(sends)
    payload = _net_payload(sends, kind, compared)
    whens = _conditions(sends, last)
    asked = payload if last.row is None else _with_instance(payload, last.row, whens)
    if not any(when is None or when.holds(asked) for when in whens):
        return None
    kwargs = {name: payload[name] for name in last.payload if name not in ("signal", "sender")}
    sent = (kind, last.payload["signal"], last.payload["sender"], kwargs)
    held = next((one.held for one in reversed(sends) if one.held is not None), None)
    return SentEvent(*sent, compared, _fields(sends), last.row, last.primary_key, held, last.context)


def _first(sends: Sequence[ReceivedSend]) -> ReceivedSend:
    """Return the first send about a row that knows whether the row is new.

    pre_save does not: Django takes each instance that was not loaded for a new one.
    """
    return next((one for one in sends if one.payload["signal"] is not pre_save), sends[0])


def _conditions(sends: Sequence[ReceivedSend], last: ReceivedSend) -> list[Condition | None]:
    """Return the conditions that are tested: those for deletions, if the last send is about one, or those for saves."""
    if len(sends) == 1:
        return [last.deferral.options.when]
    is_gone = last.kind in _GONE
    options = [one.deferral.options for one in sends if (one.kind in _GONE) is is_gone]
    return [*{id(one.when): one.when for one in options}.values()]


def _fields(sends: Sequence[ReceivedSend]) -> tuple[str, ...]:
    """Return the names of the fields whose changes the receiver asks for, under each of its conditions."""
    if len(sends) == 1:
        return sends[0].deferral.fields
    return tuple(dict.fromkeys(name for one in sends for name in one.deferral.fields))


def _in_order_of_writes(sends: Sequence[ReceivedSend]) -> list[ReceivedSend]:
    """Return the sends about one row in the order of its writes.

    A receiver of the new row may write it again, and others that are called after it receive this write before the
    creation.
    """
    ordered: list[ReceivedSend] = []
    for one in sends:
        at = len(ordered)
        while one.kind == "created" and at and ordered[at - 1].kind == "updated":
            at -= 1
        ordered.insert(at, one)
    return ordered


_GONE = ("deleted", "absent")


def _with_instance(payload: NetPayload, row: Row, whens: Iterable[Condition | None]) -> NetPayload:
    """Return a payload with the instance of a row, if a condition may ask for it."""
    if not any(asks_for_instance(leaf) for when in whens if when is not None for leaf in when.leaves()):
        return payload
    complete = NetPayload(payload, instance=row.instance)
    complete.comparison = payload.comparison
    return complete


def _net_kind(first: Fate | None, last: Fate | None) -> Kind | None:
    """Return the net kind of write: the first send says whether the row existed, the last whether it exists now."""
    was_there, is_there = first not in ("created", "absent"), last not in _GONE
    if first is None or not (was_there or is_there):
        return None
    if was_there and is_there:
        return "updated"
    return "created" if is_there else "deleted"


def _net_payload(sends: list[ReceivedSend], kind: Kind | None, compared: Comparison | None) -> NetPayload:
    """Return the payload that one send in place of these would have carried."""
    last = sends[-1]
    sent, key = last.payload, last.primary_key
    has_key = last.row is not None or key is None or sent["instance"].pk == key
    payload = NetPayload(sent if has_key else with_key(sent, key))
    if kind is not None:
        payload["created"] = kind == "created"
    if "update_fields" in payload and len(sends) > 1:
        payload["update_fields"] = _all_fields([one.payload.get("update_fields") for one in sends])
    payload.comparison = None if kind == "created" else compared
    return payload


def _all_fields(named: list[Any]) -> frozenset[str] | None:
    """Return the names of the fields that several saves have written; None stands for all fields."""
    return None if None in named else frozenset().union(*named)


def _net_comparison(sends: list[ReceivedSend]) -> Comparison | None:
    """Compare a row before the first send with the row after the last one."""
    if len(sends) == 1:
        return sends[0].comparison
    # A send of pre_save only knows what is going to be written.
    sends = [one for one in sends if one.payload["signal"] is not pre_save] or sends
    compared = [one.comparison for one in sends if one.comparison is not None]
    return reduce(_followed, compared) if compared else None


def _followed(first: Comparison, second: Comparison) -> Comparison:
    """Return one comparison in place of two comparisons of a row, one after the other."""
    if first.plan is second.plan:
        new = [before if value is ABSENT else value for before, value in zip(first.new, second.new, strict=True)]
        return Comparison(first.plan, first.old, new, None, first.using)
    values = {field: [old, new] for field, old, new in zip(first.plan.fields, first.old, first.new, strict=True)}
    for field, old, new in zip(second.plan.fields, second.old, second.new, strict=True):
        # The old value of a field is not known if nobody watched the field when the first write may have changed it.
        before = values.setdefault(field, [UNKNOWN if is_among(field, first.written) else old, ABSENT])
        if new is not ABSENT:
            before[1] = new
    plan = first.plan.joined(second.plan, tuple(values))
    written = None if first.written is None or second.written is None else {*first.written, *second.written}
    befores, afters = zip(*values.values(), strict=True)
    return Comparison(plan, befores, afters, written, first.using)
