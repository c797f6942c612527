"""Plans of reverts: the change to the row of an entry, and the reasons against it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, ProtectedError, RestrictedError
from django.db.models.deletion import Collector

from heliograph.audit.backwards import why_unknown
from heliograph.audit.change_texts import key_text
from heliograph.audit.histories import History, history
from heliograph.audit.models import Action, Entry
from heliograph.audit.named_rows import as_key, key_or_none, tables_of
from heliograph.audit.reversals import Refusal, Step
from heliograph.audit.stored_changes import Related
from heliograph.bulk.m2m_sides import sides_of
from heliograph.changes.comparing import Change
from heliograph.changes.values import NO_ROW, is_same

Named = tuple[str, str]  # the label of a table, and the key as text


@dataclass
class Planner:
    """Plans the reverts of entries that are reverted together."""

    using: str
    entries: Collection[Entry]
    fields: Collection[str] | None = None  # the fields of an update that are reverted; None for all
    locks: bool = False

    def step(self, entry: Entry) -> Step:
        """Return what is to be done for an entry."""
        model = entry.model
        if model is None:
            return Step(entry, "leave", {}, (Refusal(entry, "", "The project does not have the model any more."),))
        if key_or_none(model, entry.object) is None:
            return Step(entry, "leave", {}, (Refusal(entry, "", "the model has keys of another type now."),))
        plans = {
            Action.CREATED: self._deletion,
            Action.UPDATED: self._update,
            Action.DELETED: self._creation,
            Action.RELATED: self._relation,
        }
        return plans[Action(entry.action)](entry, model)

    def named(self, action: str) -> set[Named]:
        """Return the rows of the entries with an action."""
        return {(one.kind.model, one.object) for one in self.entries if one.action == action}

    # --- updates --------------------------------------------------------------------------------------------------

    def _update(self, entry: Entry, model: Any) -> Step:
        row = self._row(model, entry.object)
        if row is None:
            return Step(entry, "set", {}, (Refusal(entry, "", self._gone(entry)),))
        names = [name for name in entry.fields if self.fields is None or name in self.fields]
        refusals = [one for name in names if (one := self._refused(entry, model, name)) is not None]
        known = [name for name in names if name not in {one.name for one in refusals}]
        changes = {name: change for name in known if (change := self._change(entry, row, name)) is not None}
        later = [one for name in changes if (one := self._later(entry, row, name)) is not None]
        return Step(entry, "set", changes, (*refusals, *later), row)

    def _refused(self, entry: Entry, model: Any, name: str) -> Refusal | None:
        if name not in _fields(model):
            return Refusal(entry, name, "the model does not have the field any more; fields=[...] names the others.")
        reason = why_unknown(entry, name)
        return None if reason is None else Refusal(entry, name, f"{reason}; fields=[...] names the others.")

    def _change(self, entry: Entry, row: Any, name: str) -> Change | None:
        """Return the change that a field needs; None if the field has its old value again, or is set by each save."""
        field, old = _fields(type(row))[name], entry.changes[name].old  # type: ignore[union-attr]  # no relation
        now = getattr(row, field.attname)
        return None if getattr(field, "auto_now", False) or is_same(field, now, old) else Change(now, old)

    def _later(self, entry: Entry, row: Any, name: str) -> Refusal | None:
        """Return the refusal of a field that was written again since."""
        later = self._entries_after(entry).changing(name).first()
        if later is not None:
            return Refusal(entry, name, f"entry {later.pk} has changed it later.", can_be_forced=True)
        field = _fields(type(row))[name]
        if why_unknown(entry, name, "new") or is_same(field, getattr(row, field.attname), entry.changes[name].new):  # type: ignore[union-attr]
            return None
        return Refusal(entry, name, "it was changed later, by a write that the log has not seen.", can_be_forced=True)

    # --- creations ------------------------------------------------------------------------------------------------

    def _deletion(self, entry: Entry, model: Any) -> Step:
        row = self._row(model, entry.object)
        if row is None:
            return Step(entry, "delete", {}, (Refusal(entry, "", "the row is gone already."),))
        changes = {field.name: Change(getattr(row, field.attname), NO_ROW) for field in model._meta.concrete_fields}
        refusals = [*self._later_of_row(entry, row), *self._taken_along(entry, row)]
        return Step(entry, "delete", changes, tuple(refusals), row)

    def _later_of_row(self, entry: Entry, row: Any) -> Iterator[Refusal]:
        entries = [one for one in self._entries_after(entry) if one not in self.entries]
        later = {name: one for one in entries for name in one.fields}
        for name, one in later.items():
            yield Refusal(entry, name, f"entry {one.pk} has changed it later.", can_be_forced=True)
        for name in entry.fields:
            field = _fields(type(row)).get(name)
            if name not in later and field is not None and self._change_unseen(entry, row, field):
                text = "it was changed later, by a write that the log has not seen."
                yield Refusal(entry, name, text, can_be_forced=True)

    def _change_unseen(self, entry: Entry, row: Any, field: Any) -> bool:
        if getattr(field, "auto_now", False) or why_unknown(entry, field.name, "new"):
            return False
        new = entry.changes[field.name].new  # type: ignore[union-attr]  # no relation
        return not is_same(field, getattr(row, field.attname), new)

    def _taken_along(self, entry: Entry, row: Any) -> Iterator[Refusal]:
        """Yield refusals for other rows that a deletion deletes, changes, or that forbid it."""
        collector = Collector(using=self.using, origin=row)
        try:
            collector.collect([row])
        except (ProtectedError, RestrictedError) as error:
            yield Refusal(entry, "", f"other rows refer to it, and protect it: {error.args[0]}")
            return
        own = {(one._meta.label, entry.object) for one in tables_of(type(row))}
        for verb, rows in (("delete", _deleted_by(collector)), ("change", _updated_by(collector))):
            others = [one for one in rows if _name(one) not in own | self.named(Action.CREATED)]
            if others:
                text = f"it would also {verb} {_listed(others)}, that refer to it."
                yield Refusal(entry, "", text, can_be_forced=True)

    # --- deletions ------------------------------------------------------------------------------------------------

    def _creation(self, entry: Entry, model: Any) -> Step:
        if self._row(model, entry.object) is not None:
            return Step(entry, "create", {}, (Refusal(entry, "", "there is a row with this key already."),))
        found: dict[str, Any] = {}
        refusals: list[Refusal] = []
        for table in tables_of(model):
            self._add_table(entry, table, found, refusals)
        key = as_key(model, entry.object)
        row = _instance(model, key, found)
        changes = {name: Change(NO_ROW, value) for name, value in found.items()}
        return Step(entry, "create", changes, tuple(refusals), row)

    def _add_table(self, entry: Entry, table: Any, found: dict[str, Any], refusals: list[Refusal]) -> None:
        """Add the values that a row had in one of its tables, and the refusals for those that nobody knows."""
        deletion = entry if table._meta.label == entry.kind.model else self._deletion_of(entry, table)
        if deletion is None:
            kept = self._row(table, entry.object)
            found |= {} if kept is None else {one.name: getattr(kept, one.attname) for one in _own(table)}
            if kept is None:
                refusals.append(Refusal(entry, "", f"its row of {table._meta.label} is gone: revert that first."))
            return
        for field in _own(table):
            reason = _why_lost(deletion, field.name)
            if reason is None:
                found[field.name] = deletion.changes[field.name].old  # type: ignore[union-attr]  # no relation
            elif not getattr(field, "auto_now", False):
                text = f"{reason}; it would be {field.get_default()!r}."
                refusals.append(Refusal(entry, field.name, text, can_be_forced=True))
        for name in {*deletion.fields} - {*_fields(table)}:
            text = "the model does not have the field any more; its value would be lost."
            refusals.append(Refusal(entry, name, text, can_be_forced=True))

    def _deletion_of(self, entry: Entry, table: Any) -> Entry | None:
        """Return the entry of the same transaction by which the row of a parent was deleted."""
        return history((table, entry.object), using=self.using).in_transaction_of(entry).actions(Action.DELETED).first()

    # --- relations ------------------------------------------------------------------------------------------------

    def _relation(self, entry: Entry, model: Any) -> Step:
        (name,) = entry.fields
        field = {one.name: one for one in model._meta.many_to_many}.get(name)
        refused = self._refused_relation(entry, field)
        row = self._row(model, entry.object)
        if row is None and (entry.kind.model, entry.object) not in self.named(Action.DELETED):
            refused = self._gone(entry)
        if refused is not None:
            return Step(entry, "relate", {}, (Refusal(entry, name, refused),))
        change = self._keys(entry, field, None if row is None else row.pk)
        refusals = [*self._later_keys(entry, name, change), *self._missing(entry, field, change)]
        return Step(entry, "relate", {name: change}, tuple(refusals), row)

    def _refused_relation(self, entry: Entry, field: Any) -> str | None:
        if field is None:
            return "the model does not have the field any more."
        if entry.is_forgotten:
            return f"entry {entry.pk} was forgotten."
        through = field.remote_field.through
        if not through._meta.auto_created:
            return f"its rows are those of {through._meta.label}, with fields of their own: revert entries of that."
        return None

    def _keys(self, entry: Entry, field: Any, key: Any) -> Related:
        """Return the keys to add and to remove."""
        through, change = field.remote_field.through, entry.changes[field.name]
        (side,) = (one for one in sides_of(through) if one.field is field)
        pairs = through._base_manager.using(self.using).filter(**{side.source: key})
        now = {*pairs.values_list(side.target, flat=True)}
        return Related(
            added=tuple(one for one in change.removed if one not in now),  # type: ignore[union-attr]  # a relation
            removed=tuple(one for one in change.added if one in now),  # type: ignore[union-attr]  # a relation
        )

    def _later_keys(self, entry: Entry, name: str, change: Related) -> Iterator[Refusal]:
        keys = {*change.added, *change.removed}
        for later in self._entries_after(entry).actions(Action.RELATED).changing(name):
            found = later.changes.get(name)
            if isinstance(found, Related) and keys.isdisjoint((*found.added, *found.removed)):
                continue
            yield Refusal(entry, name, f"entry {later.pk} has changed it later.", can_be_forced=True)

    def _missing(self, entry: Entry, field: Any, change: Related) -> Iterator[Refusal]:
        target = field.related_model
        rows = target._base_manager.using(self.using).filter(pk__in=change.added)
        there = {*rows.values_list("pk", flat=True)}
        created = self.named(Action.DELETED)
        for key in change.added:
            if key not in there and (target._meta.label, key_text(key)) not in created:
                yield Refusal(entry, field.name, f"{target._meta.label} {key} is gone.")

    # --- rows and entries -----------------------------------------------------------------------------------------

    def _row(self, model: Any, text: str) -> Any:
        rows = model._base_manager.using(self.using).filter(pk=as_key(model, text))
        return (rows.select_for_update() if self.locks else rows).first()

    def _entries_after(self, entry: Entry) -> History:
        """Return the later entries of a row in its table, without those that are reverted together."""
        entries = history((entry.kind.model, entry.object), using=self.using)
        own = entries.filter(kind__model=entry.kind.model, id__gt=entry.pk)
        return own.exclude(change_set=entry.change_set_id)

    def _gone(self, entry: Entry) -> str:
        deleted = history((entry.kind.model, entry.object), using=self.using).actions(Action.DELETED).first()
        return "the row is gone." if deleted is None else f"the row is gone: revert its deletion, entry {deleted.pk}."


def _fields(model: Any) -> Mapping[str, Any]:
    return {one.name: one for one in model._meta.concrete_fields}


def _own(table: Any) -> list[Any]:
    """Return the fields of a table that have values of their own."""
    return [one for one in table._meta.local_concrete_fields if not one.primary_key and not one.generated]


def _why_lost(deletion: Entry, name: str) -> str | None:
    if name not in deletion.fields:
        return f"entry {deletion.pk} does not have it"
    return why_unknown(deletion, name)


def _instance(model: Any, key: Any, values: Mapping[str, Any]) -> Any:
    fields = _fields(model)
    row = model(**{fields[name].attname: value for name, value in values.items()})
    row.pk = key
    for parent in tables_of(model)[1:]:
        link = model._meta.parents[parent]
        setattr(row, parent._meta.pk.attname, getattr(row, link.attname))
    return row


def _name(row: Any) -> Named:
    return row._meta.label, key_text(row.pk)


def _deleted_by(collector: Any) -> list[Model]:
    fast = [row for rows in collector.fast_deletes for row in rows]
    return [row for row in (*fast, *(one for rows in collector.data.values() for one in rows)) if not _is_pair(row)]


def _updated_by(collector: Any) -> list[Model]:
    return [row for groups in collector.field_updates.values() for rows in groups for row in rows]


def _is_pair(row: Any) -> bool:
    """Return whether a row is a pair of a relation, which is no object."""
    return bool(row._meta.auto_created)


def _listed(rows: Collection[Any]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row._meta.label] = counts.get(row._meta.label, 0) + 1
    return ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
