"""Batches: the argument of a receiver that is called once for all its rows of a transaction or a write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, overload

from heliograph.changes.comparing import Change, Comparison, new_columns
from heliograph.changes.parents import is_key
from heliograph.changes.plans import is_among
from heliograph.changes.rows import Kind, Rows, Triple, Values
from heliograph.changes.tracking import ALL
from heliograph.changes.values import NO_ROW, UNKNOWN
from heliograph.context.kept_context import EMPTY, Context
from heliograph.dispatch.reentrancy import rows_of


class Event(ABC):
    """The net change of one row in a transaction; for a signal that is not about a row, one send. Frozen.

    - `kind`: "created", "updated" or "deleted"; None for a signal that is not about a row.
    - `signal` and `sender`: of the last send about the row.
    - `kwargs`: the values of that send without these two, with `created` and `update_fields` of all sends about the
      row.
    - `context`: the `Context` of that send: who has made it, and why.
    """

    kind: Kind | None  # None for a signal that is not about a row
    signal: Any
    sender: Any
    kwargs: Mapping[str, Any]  # the values of its last send, with `created` and `update_fields` of all its sends
    comparison: Comparison | None
    fields: tuple[str, ...]  # the fields whose changes the receiver asks for
    context: Context  # of the last send about the row: who has made it, and why

    @property
    def instance(self) -> Any:
        """The instance that was sent, in its last state; None for a signal without one."""
        return self.kwargs.get("instance")

    @property
    def sent_instance(self) -> Any:
        """The instance that the writing code holds; None where it holds none, as for an `update()` of a query.

        This is the object itself, as it is now: also after a deletion, where Django takes its primary key away.
        """
        return None

    @property
    @abstractmethod
    def pk(self) -> Any:
        """The primary key of the row; None for a signal that is not about a row."""

    @cached_property
    def changes(self) -> Mapping[str, Change]:
        """The changes that the whole transaction made, by the name of the field; empty for a row that was created.

        For a deleted row, each field is changed from its value before the transaction to `NO_ROW`. Raises LookupError
        if the receiver asks for no changes.
        """
        if self.kind == "created":
            return {}
        if not self.fields or self.comparison is None:
            raise _not_watched(repr(self.instance))
        return self.comparison.all_changes() if ALL[0] in self.fields else self.comparison.changes(self.fields)

    def old(self, name: str) -> Any:
        """Return the value of a field before the transaction: `NO_ROW` if the row is new, `UNKNOWN` if it is not known.

        Raises LookupError for a field that the receiver does not watch and for an event that is not about a row, and
        FieldDoesNotExist for a field that the model does not have.
        """
        return self._values(name).old

    def new(self, name: str) -> Any:
        """Return the value of a field after the transaction: `NO_ROW` if the row is gone, `UNKNOWN` if it is not known.

        Raises LookupError for a field that the receiver does not watch and for an event that is not about a row, and
        FieldDoesNotExist for a field that the model does not have.
        """
        return self._values(name).new

    def _values(self, name: str) -> Change:
        return self._change_of(self._field(name))

    def _change_of(self, field: Any) -> Change:
        compared = self.comparison
        if self.kind == "created" and compared is not None and field.name in compared.plan.positions:
            return Change(NO_ROW, compared.new_value(field.name))
        known = self._known_of(field)
        if self.kind == "created":
            return known._replace(old=NO_ROW)
        return known._replace(new=NO_ROW) if self.kind == "deleted" else known

    def _known_of(self, field: Any) -> Change:
        compared = self.comparison
        if compared is not None and field.name in compared.plan.positions:
            return compared.values(field.name)
        return Change(self.pk, self.pk) if is_key(self.sender, field) else Change(UNKNOWN, UNKNOWN)

    def _field(self, name: str) -> Any:
        """Return the field with this name, if the receiver watches it."""
        if self.kind is None:
            raise LookupError(f"An event of {self.signal!r} is about no row, which could have had a {name!r}.")
        return _watched(self.sender, name, self.fields)

    def _row_of(self, fields: Iterable[Any]) -> Values:
        """Return the primary key, and the values of fields before and after; None where there was no row."""
        changes = [self._change_of(field) for field in fields]
        old = None if self.kind == "created" else tuple(change.old for change in changes)
        return self.pk, old, None if self.kind == "deleted" else tuple(change.new for change in changes)


def _watched(model: Any, name: str, fields: Collection[str]) -> Any:
    """Return the field of a model with this name, if it is the key or among the fields that a receiver watches."""
    field = model._meta.get_field(name)
    if not field.primary_key and ALL[0] not in fields and not is_among(field, fields):
        raise _not_watched(f"{model._meta.label}.{name}")
    return field


def _not_watched(what: str) -> LookupError:
    return LookupError(
        f"The changes of {what} are not known: the receiver does not watch them."
        " Connect it with when=changed(...), or with when=created | changed(...) for new rows too."
    )


def _verify_asked(model: Any, kind: Kind | None, name: str, fields: Collection[str]) -> Any:
    """Return the field of a model; raise LookupError if it may be changed and the receiver does not watch it."""
    field = model._meta.get_field(name)
    if kind == "updated" and ALL[0] not in fields and not is_among(field, fields):
        raise _not_watched(f"{model._meta.label}.{name}")
    return field


class Row(NamedTuple):
    """One of the rows of a bulk write."""

    rows: Rows
    at: int

    @property
    def instance(self) -> Any:
        """The instance of the row; the first access makes the instances of all rows of the write."""
        return self.rows.instances[self.at]


@dataclass(frozen=True, eq=False)
class SentEvent(Event):
    """The event of one send, or of several sends about one row."""

    kind: Kind | None
    signal: Any
    sender: Any
    sent: Mapping[str, Any]
    comparison: Comparison | None = field(default=None, repr=False)
    fields: tuple[str, ...] = field(default=(), repr=False)
    row: Row | None = field(default=None, repr=False)  # if a bulk write was the last to write the row
    key: Any = field(default=None, repr=False)  # the primary key when it was sent; None if there was none yet
    held: Any = field(default=None, repr=False)  # the last instance that the writing code has sent
    context: Context = field(default=EMPTY, repr=False)

    @property
    def sent_instance(self) -> Any:
        return self.held

    @property
    def pk(self) -> Any:
        return getattr(self.instance, "pk", None) if self.key is None else self.key

    @property
    def kwargs(self) -> Mapping[str, Any]:  # type: ignore[override]  # read-only, where the base has an attribute
        return self.sent if self.row is None else {**self.sent, "instance": self.row.instance}

    @property
    def instance(self) -> Any:
        return self.sent.get("instance") if self.row is None else self.row.instance


class WrittenRows(NamedTuple):
    """Rows of one bulk write, with the payload and the fields that their events have."""

    rows: Rows
    payload: Mapping[str, Any]  # of a send about one of the rows, without its instance
    fields: tuple[str, ...]  # the fields whose changes the receiver asks for
    context: Context  # of the write


@dataclass(frozen=True, eq=False)
class RowEvent(Event):
    """An event that is one of the rows of a bulk write."""

    written: WrittenRows = field(repr=False)
    at: int

    @property
    def kind(self) -> Kind:  # type: ignore[override]  # read-only, where the base has an attribute
        return self.written.rows.kind

    @property
    def signal(self) -> Any:
        return self.written.payload["signal"]

    @property
    def sender(self) -> Any:
        return self.written.rows.model

    @property
    def pk(self) -> Any:
        return self.written.rows.pks[self.at]

    @property
    def instance(self) -> Any:
        return self.written.rows.instances[self.at]

    @property
    def sent_instance(self) -> Any:
        return self.written.rows.sent_instance(self.at)

    @property
    def kwargs(self) -> Mapping[str, Any]:  # type: ignore[override]  # the same
        carried = {name: value for name, value in self.written.payload.items() if name not in ("signal", "sender")}
        return {**carried, "instance": self.instance}

    @property
    def comparison(self) -> Comparison | None:  # type: ignore[override]  # the same
        return self.written.rows.written(self.at)

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]  # the same
        return self.written.fields

    @property
    def context(self) -> Context:  # type: ignore[override]  # the same
        return self.written.context


def payload_of(rows: Rows, signal: Any, origin: Any = None) -> dict[str, Any]:
    """Return the payload of a send about one of these rows, without its instance."""
    payload = {"signal": signal, "sender": rows.model, "using": rows.using}
    if rows.kind == "deleted":
        return {**payload, "origin": origin}
    return {**payload, "created": rows.kind == "created", "update_fields": rows.update_fields, "raw": False}


@dataclass(frozen=True, eq=False)
class RowEvents(Sequence[Event]):
    """The events of bulk writes, made when somebody looks at one."""

    writes: Sequence[WrittenRows]

    @cached_property
    def _made(self) -> tuple[Event, ...]:
        return tuple(RowEvent(written, at) for written in self.writes for at in range(len(written.rows)))

    def __len__(self) -> int:
        return sum(len(written.rows) for written in self.writes)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._made)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self._made[index]

    def __repr__(self) -> str:
        return f"<{len(self)} events>"


@dataclass(frozen=True, eq=False)
class Batch:
    """All events that one receiver has received from one sender in a transaction, or the rows of one bulk write.

    `events` is a sequence of `Event`, one for each row, in the order in which each row was first written. `unknown` has
    instances of `bulk_create()` of which the database does not say what became of them, after a conflict; it is mostly
    empty. Frozen.
    """

    events: Sequence[Event]  # in the order in which each began
    unknown: Sequence[Any] = ()  # instances of which nobody knows whether their rows were written

    @property
    def instances(self) -> list[Any]:
        """Each instance once, in its last state, and with its primary key if its row was deleted."""
        return _instances(self.events)

    @property
    def sent_instances(self) -> list[Any]:
        """The instances that the writing code itself holds; an `update()` of a query has none."""
        return [one for one in (event.sent_instance for event in self.events) if one is not None]

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

    @property
    def pks(self) -> list[Any]:
        """The primary keys of all rows, without a query."""
        return [event.pk for event in self.events]

    def changes(self, name: str) -> list[Triple]:
        """Return the primary key, the old and the new value of a field, for each row in which the field has changed.

        Rows that are new or gone are left out. Raises LookupError for a field that the receiver does not watch, and
        FieldDoesNotExist for a field that the model does not have.
        """
        found = []
        for event in self.events:
            if event.kind == "deleted":  # there is no new value
                continue
            field = _verify_asked(event.sender, event.kind, name, event.fields)
            change = event.changes.get(field.name)
            if change is not None:
                found.append((event.pk, *change))
        return found

    def values(self, *names: str) -> list[Values]:
        """Return the primary key, the old and the new values of these fields, for each row.

        The values are tuples in the order of the names. The old ones are None for a row that was created, the new ones
        for a row that was deleted. No instances are made, and no query.

        Raises LookupError for a field that the receiver does not watch, FieldDoesNotExist for an unknown name.
        """
        columns = self._columns_of_new(names)
        if columns is not None:
            return [(event.pk, None, new) for event, new in zip(self.events, zip(*columns, strict=True), strict=True)]
        found, fields = [], dict[Any, Any]()
        for event in self.events:
            kind = event.kind, event.sender, event.fields
            if kind not in fields:
                fields[kind] = [event._field(name) for name in names]
            found.append(event._row_of(fields[kind]))
        return found

    def _columns_of_new(self, names: Sequence[str]) -> Sequence[Sequence[Any]] | None:
        """Return whole columns of values, if the batch has nothing but new rows of one model; otherwise None."""
        if not (self.events and names):
            return None
        first = self.events[0]
        alike = ("created", first.sender, first.fields)
        if any((event.kind, event.sender, event.fields) != alike for event in self.events):
            return None
        return new_columns([event.comparison for event in self.events], [first._field(name) for name in names])

    def _of(self, kind: Kind) -> list[Any]:
        return _instances(event for event in self.events if event.kind == kind)


@dataclass(frozen=True, eq=False)
class RowBatch(Batch):
    """A batch that has only rows of bulk writes, and looks values up in whole columns."""

    events: RowEvents

    def only(self, writes: Sequence[Rows]) -> RowBatch:
        """Return the batch with nothing but these rows of each write."""
        written = [one._replace(rows=rows) for one, rows in zip(self.events.writes, writes, strict=True) if len(rows)]
        return replace(self, events=RowEvents(written))

    @property
    def pks(self) -> list[Any]:
        return [key for written in self.events.writes for key in written.rows.pks]

    @property
    def sent_instances(self) -> list[Any]:
        return [one for written in self.events.writes for one in written.rows.sent_instances]

    def changes(self, name: str) -> list[Triple]:
        for rows, _, fields, _ in self.events.writes:
            _verify_asked(rows.model, rows.kind, name, fields)
        return [triple for written in self.events.writes for triple in written.rows.changes(name)]

    def values(self, *names: str) -> list[Values]:
        found: list[Values] = []
        for rows, _, watched, _ in self.events.writes:
            fields = [_watched(rows.model, name, watched) for name in names]
            found += rows.values_of([field.name for field in fields])
        return found


def _instances(events: Iterable[Event]) -> list[Any]:
    found: dict[Hashable, Any] = {}
    for event in events:
        instance = event.instance
        if instance is not None:
            row: Hashable = next(iter(rows_of(instance)), id(instance))  # an instance that was never saved has no row
            found[row] = instance
    return list(found.values())
