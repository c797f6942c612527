"""Tables of snapshots: each snapshot is a row as it was, and an entry is the difference to the snapshot before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Q, Subquery

from heliograph.audit.change_texts import MASKED, key_text
from heliograph.audit.importing.foreign_entries import Author, ForeignEntry, Found, is_masked, user_text, value_of
from heliograph.audit.models import Action
from heliograph.changes.values import is_same

CHUNK = 1000

Position = tuple[datetime, Any]


@dataclass
class SnapshotSource:
    """The snapshots of one model. Subclasses know how their package calls the columns."""

    using: str
    model: Any  # of the rows
    snapshots: Any  # the model of the snapshots
    masked: frozenset[str]
    name: str
    lacks: tuple[str, ...]
    number: str  # the name of the column with the number of a snapshot
    time: str

    def position(self, origin: str, at: datetime) -> Position:
        field = self.snapshots._meta.get_field(self.number)
        return at, field.to_python(origin.rpartition(" ")[2])

    def chunks(self, position: Position | None) -> Iterator[Found]:
        snapshots = self._related().order_by(self.time, self.number)
        last = position
        while chunk := [*(snapshots if last is None else snapshots.filter(self._behind(*last)))[:CHUNK]]:
            left_out = Counter[str]()
            found = [self._entry(one, before, left_out) for one, before in self._with_earlier(chunk)]
            last = (getattr(chunk[-1], self.time), getattr(chunk[-1], self.number))
            yield Found([one for one in found if one is not None], left_out, last)

    def action(self, snapshot: Any) -> str | None:
        """Return the action after which a snapshot was taken: created, updated or deleted; None if nobody knows."""
        raise NotImplementedError

    def author(self, snapshot: Any) -> Author:
        """Return who has made the change, and why."""
        raise NotImplementedError

    def context(self, snapshot: Any) -> Mapping[str, Any]:
        """Return the other values that the package has stored about the change."""
        return {}

    def _all(self) -> Any:
        return self.snapshots._base_manager.using(self.using)

    def _related(self) -> Any:
        """Return the snapshots, joined with the related row from which the author is read."""
        return self._all()

    def _behind(self, time: Any, number: Any) -> Q:
        return Q(**{f"{self.time}__gt": time}) | Q(**{self.time: time, f"{self.number}__gt": number})

    def _with_earlier(self, chunk: list[Any]) -> list[tuple[Any, Any]]:
        """Return snapshots, each with the one before it of the same row, or None."""
        key, time, number = self.model._meta.pk.attname, self.time, self.number
        is_earlier = Q(**{f"{time}__lt": OuterRef(time)}) | Q(
            **{time: OuterRef(time), f"{number}__lt": OuterRef(number)}
        )
        earlier = self._all().filter(is_earlier, **{key: OuterRef(key)}).order_by(f"-{time}", f"-{number}")
        numbers = self._all().filter(**{f"{number}__in": [getattr(one, number) for one in chunk]})
        before = dict(numbers.values_list(number, Subquery(earlier.values(number)[:1])))
        rows = {getattr(one, number): one for one in self._all().filter(**{f"{number}__in": [*before.values()]})}
        return [(one, rows.get(before.get(getattr(one, number)))) for one in chunk]

    def _entry(self, one: Any, before: Any, left_out: Counter[str]) -> ForeignEntry | None:
        action = self.action(one)
        if action is None:
            left_out["of a kind that says neither insert, update nor delete"] += 1
            return None
        if action == Action.UPDATED and before is None:
            left_out["of an update without a snapshot before it, so that nobody knows what it has changed"] += 1
            return None
        changes = self._changes(one, before) if action == Action.UPDATED else self._values(one)
        if not changes and action == Action.UPDATED:
            left_out["without changes"] += 1
            return None
        key, number = getattr(one, self.model._meta.pk.attname), getattr(one, self.number)
        return ForeignEntry(
            f"{self.name} {number}",
            getattr(one, self.time),
            self.model._meta.concrete_model._meta.label,
            key_text(key),
            action,
            changes,
            self.author(one),
            self.context(one),
        )

    def _fields(self) -> list[Any]:
        there = {one.attname for one in self.snapshots._meta.concrete_fields}
        fields = [one for one in self.model._meta.local_concrete_fields if not one.primary_key and not one.generated]
        return [one for one in fields if one.attname in there]

    def _values(self, one: Any) -> dict[str, Any]:
        return {field.name: self._json(field, [getattr(one, field.attname)]) for field in self._fields()}

    def _changes(self, one: Any, before: Any) -> dict[str, Any]:
        sides = {field: [getattr(row, field.attname) for row in (before, one)] for field in self._fields()}
        return {field.name: self._json(field, values) for field, values in sides.items() if not is_same(field, *values)}

    def _json(self, field: Any, values: list[Any]) -> Any:
        return MASKED if is_masked(field, self.masked) else [value_of(field, value) for value in values]


# --- django-simple-history ----------------------------------------------------------------------------------------


class SimpleHistorySource(SnapshotSource):
    """The historical model of a model."""

    def action(self, snapshot: Any) -> str | None:
        return {"+": Action.CREATED, "~": Action.UPDATED, "-": Action.DELETED}.get(snapshot.history_type)

    def author(self, snapshot: Any) -> Author:
        user = getattr(snapshot, "history_user", None)
        return Author(user_text(user), "" if user is None else str(user), snapshot.history_change_reason or "")

    def _related(self) -> Any:
        names = {one.name for one in self.snapshots._meta.fields}
        return self._all().select_related("history_user") if "history_user" in names else self._all()


def simple_history_source(using: str, model: Any, masked: frozenset[str]) -> SnapshotSource | None:
    """Return the source of a model; None if the package does not follow it."""
    manager = getattr(model._meta, "simple_history_manager_attribute", None)
    if manager is None:
        return None
    snapshots = getattr(model, manager).model
    lacks = (
        "bulk writes, unless they were made by its own functions",
        "transactions: each snapshot becomes a change set of its own",
        "changes before the first snapshot of a row",
        "many-to-many relations: their snapshots are not imported",
    )
    name = f"simple_history {snapshots._meta.label}"
    return SimpleHistorySource(using, model, snapshots, masked, name, lacks, "history_id", "history_date")


# --- django-pghistory ---------------------------------------------------------------------------------------------


class PghistorySource(SnapshotSource):
    """An event model of a model."""

    def action(self, snapshot: Any) -> str | None:
        actions = {
            tracker.label: _OPERATIONS.get(str(tracker.operation))
            for tracker in self.snapshots.pgh_trackers or ()
            if tracker.operation is not None and (str(tracker.operation) != "UPDATE" or str(tracker.row) == "NEW")
        }
        return actions.get(snapshot.pgh_label)

    def author(self, snapshot: Any) -> Author:
        metadata = self._metadata(snapshot)
        user = metadata.get("user")
        actor = "" if user is None else f"{_user_label()} {user}"
        return Author(actor, str(metadata.get("username") or ""), str(metadata.get("reason") or ""))

    def context(self, snapshot: Any) -> Mapping[str, Any]:
        metadata = self._metadata(snapshot)
        return {"metadata": metadata} if metadata else {}

    def _metadata(self, snapshot: Any) -> Mapping[str, Any]:
        found = getattr(snapshot, "pgh_context", None)
        return getattr(found, "metadata", found) or {}

    def _related(self) -> Any:
        field = {one.name: one for one in self.snapshots._meta.fields}.get("pgh_context")
        return self._all().select_related("pgh_context") if field is not None and field.is_relation else self._all()


_OPERATIONS = {"INSERT": Action.CREATED, "UPDATE": Action.UPDATED, "DELETE": Action.DELETED}


def _user_label() -> str:
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - a project may have no users

    return str(get_user_model()._meta.label)


def pghistory_sources(using: str, model: Any, masked: frozenset[str]) -> Iterator[SnapshotSource]:
    """Yield the sources of a model: one for each of its event models."""
    lacks = (
        "transactions: a context may have several, and an event without a context has none",
        "actors and reasons of events without a context, or whose context has no 'user'",
        "changes before the first event of a row, and events of trackers with the OLD row of an update",
        "many-to-many relations, unless their model has events, which are then entries of that model",
    )
    for events in dict.fromkeys((getattr(model, "pgh_event_models", None) or {}).values()):
        name = f"pghistory {events._meta.label}"
        yield PghistorySource(using, model, events, masked, name, lacks, "pgh_id", "pgh_created_at")
