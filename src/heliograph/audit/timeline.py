"""A timeline: entries as a page of the admin shows them, with a handful of queries for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

from django.utils.html import format_html
from django.utils.text import capfirst

from heliograph.audit.audit_viewers import Viewer
from heliograph.audit.masked_fields import field_named, is_masked
from heliograph.audit.models import ChangeSet, Entry, Kind
from heliograph.audit.named_objects import NamedObjects, linked
from heliograph.audit.named_rows import key_or_none
from heliograph.audit.shown_values import SHORT, exactly, is_json, is_text, marked, pretty, shown, target_of
from heliograph.audit.stored_changes import MASKED, Related, model_labelled
from heliograph.audit.word_differences import differences, differences_by_line
from heliograph.changes.comparing import Change
from heliograph.changes.values import NO_ROW, Mark
from heliograph.outbox.payload.secrecy import is_sensitive

# How many objects of a relation are named, and of how many fields a created or deleted row shows the values at once.
MOST_NAMED, AT_ONCE = 20, 8


@dataclass(frozen=True)
class Line:
    """A field of an entry: its values before and after, or a text with its differences, or objects of a relation."""

    label: str
    is_masked: bool = False
    old: str | None = None
    new: str | None = None
    difference: str | None = None
    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    is_relation: bool = False
    more: int = 0  # how many other objects were added or removed
    names: str = ""  # how the objects of a foreign key were called then


@dataclass
class ShownSet:
    """A change set on a page."""

    of: Any
    objects: NamedObjects
    viewer: Viewer

    def want(self) -> None:
        """Ask for the user who is the actor."""
        model, key = _user_of(self.of.actor)
        if model is not None and key is not None:
            self.objects.want(model, model._meta.pk.attname, key)

    @property
    def actor(self) -> str:
        """The label of the actor, with a link where the viewer may see the user; empty for nobody."""
        model, key = _user_of(self.of.actor)
        user = None if model is None else self.objects.get(model, model._meta.pk.attname, key)
        label = self.of.actor_label or self.of.actor
        return format_html("{}", label) if user is None else linked(self.viewer, user, label)


@dataclass
class Shown:
    """An entry on a page."""

    entry: Any
    set: ShownSet
    objects: NamedObjects
    viewer: Viewer
    subject: str | None = None  # the label of the model of the page's object, which the viewer may see

    @cached_property
    def model(self) -> Any:
        """The model of the row; None if the project does not have it any more."""
        return self.entry.model

    @cached_property
    def key(self) -> Any:
        """The primary key of the row; None if it is none of the model any more."""
        return None if self.model is None else key_or_none(self.model, self.entry.object)

    @property
    def instance(self) -> Any:
        """The object as it is now; None if it was deleted."""
        return None if self.key is None else self.objects.get(self.model, self.model._meta.pk.attname, self.key)

    @cached_property
    def is_hidden(self) -> bool:
        """Whether the viewer may not see the object."""
        if self.subject is not None:
            return False
        if not self.viewer.may_see_model(self.entry.kind.model):
            return True
        return not (self.viewer.may_see_log if self.instance is None else self.objects.may_be_seen(self.instance))

    @property
    def model_name(self) -> str:
        """The name of the model for people."""
        return self.entry.kind.model if self.model is None else str(capfirst(self.model._meta.verbose_name))

    @property
    def title(self) -> str:
        """The name of the object with a link, or its key."""
        return format_html("{}", self.entry.object) if self.instance is None else linked(self.viewer, self.instance)

    @property
    def is_gone(self) -> bool:
        """Whether the object was deleted, and this is not the entry of its deletion."""
        return self.instance is None and self.entry.action != "deleted"

    @property
    def is_of_parent(self) -> bool:
        """Whether the row is that of a parent of the page's object."""
        return self.subject is not None and self.subject != self.entry.kind.model

    @property
    def field_labels(self) -> list[str]:
        """The names of the fields that have changed, for people."""
        fields = ((name, field_named(self.model, name)) for name in self.entry.fields)
        return [_label(field, name) for name, field in fields]

    @property
    def may_revert(self) -> bool:
        """Whether the viewer may revert the change."""
        return not self.entry.is_forgotten and self.viewer.may_undo(self.model, self.entry.action, self.instance)

    @cached_property
    def lines(self) -> list[Line]:
        """The fields of the entry."""
        return lines_of(self.model, self._changes(), self.objects, self._names())

    @property
    def first_lines(self) -> list[Line]:
        """The fields that are shown at once."""
        return self.lines[:AT_ONCE]

    @property
    def other_lines(self) -> list[Line]:
        """The fields that the page shows only after a click."""
        return self.lines[AT_ONCE:]

    def want(self) -> None:
        """Ask for the objects that the entry names."""
        if self.key is not None:
            self.objects.want(self.model, self.model._meta.pk.attname, self.key)
        self.set.want()
        if self.subject is not None or self.viewer.may_see_model(self.entry.kind.model):
            want_named(self.model, self._changes(), self.objects)

    def _changes(self) -> Mapping[str, Any]:
        return self._read("changes", {"": Change(NO_ROW, self.entry.text)})

    def _names(self) -> Mapping[str, Any]:
        return self._read("names", {})

    def _read(self, name: str, unreadable: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an attribute of the entry, which somebody may have altered in the database."""
        try:
            found: Mapping[str, Any] = getattr(self.entry, name)
        except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
            found = unreadable
        return found


_T = TypeVar("_T", ShownSet, Shown)


def timeline(viewer: Viewer, using: str, numbers: Sequence[int], subject: str | None = None) -> list[Shown]:
    """Return the entries with these numbers, in this order; `subject` is the model of an object that may be seen."""
    entries = Entry.objects.using(using).in_bulk(numbers)
    sets = ChangeSet.objects.using(using).in_bulk({one.change_set_id for one in entries.values()})
    kinds = Kind.objects.using(using).in_bulk({one.kind_id for one in entries.values()})
    objects = NamedObjects(viewer, using)
    found = []
    for entry in filter(None, map(entries.get, numbers)):
        if entry.change_set_id in sets and entry.kind_id in kinds:  # a constraint would cost each entry a look-up
            entry.kind, entry.change_set = kinds[entry.kind_id], sets[entry.change_set_id]
            found.append(Shown(entry, ShownSet(entry.change_set, objects, viewer), objects, viewer, subject))
    return _with_objects(objects, found)


def with_actors(viewer: Viewer, using: str, sets: Sequence[Any]) -> list[ShownSet]:
    """Return change sets with their actors."""
    objects = NamedObjects(viewer, using)
    return _with_objects(objects, [ShownSet(one, objects, viewer) for one in sets])


def _with_objects(objects: NamedObjects, shown: list[_T]) -> list[_T]:
    for one in shown:
        one.want()
    objects.find()
    return shown


def _user_of(actor: str) -> tuple[Any, Any]:
    label, _, key = actor.partition(" ")
    model = model_labelled(label) if "." in label else None
    return model, None if model is None else key_or_none(model, key)


# --- fields -------------------------------------------------------------------------------------------------------


def _named_by(field: Any, change: Any) -> Iterator[tuple[tuple[Any, str], Any]]:
    """Yield the objects that a change names: their model and field, and the value of it."""
    if isinstance(change, Related):
        target = _target_of_relation(field)
        for key in (*change.added[:MOST_NAMED], *change.removed[:MOST_NAMED]) if target else ():
            yield target, key  # type: ignore[misc]
    elif target := target_of(field):
        yield from ((target, value) for value in change if not _has_no_object(value))


def _has_no_object(value: Any) -> bool:
    return value is None or isinstance(value, Mark | list | dict)


def _target_of_relation(field: Any) -> tuple[Any, str] | None:
    is_relation = field is not None and field.many_to_many
    return (field.related_model, field.related_model._meta.pk.attname) if is_relation else None


def want_named(model: Any, changes: Mapping[str, Any], objects: NamedObjects) -> None:
    """Ask for the objects that changes name."""
    for name, change in changes.items():
        for target, value in _named_by(field_named(model, name), change):
            objects.want(*target, value)


def lines_of(
    model: Any, changes: Mapping[str, Any], objects: NamedObjects, names: Mapping[str, Any] | None = None
) -> list[Line]:
    """Return the fields that have changed; `names` has how objects of foreign keys were called then."""
    called = names or {}
    return [_line(model, name, change, objects, called.get(name, ())) for name, change in changes.items()]


def _line(model: Any, name: str, change: Any, objects: NamedObjects, names: Any) -> Line:
    field = field_named(model, name)
    label = _label(field, name)
    if is_masked(model, name) or (isinstance(change, Change) and MASKED in change):
        return Line(label, is_masked=True)
    if isinstance(change, Related):
        return _line_of_relation(label, field, change, objects)
    difference = _difference(field, *change)
    if difference is not None:
        return Line(label, difference=difference)
    old, new = _sides(field, change, objects)
    return Line(label, old=old, new=new, names=_called(names))


def _label(field: Any, name: str) -> str:
    return name or "Unreadable" if field is None else str(capfirst(field.verbose_name))


def _called(names: Any) -> str:
    return " → ".join(str(one) for one in names if one is not NO_ROW and one is not None)


def _difference(field: Any, old: Any, new: Any) -> str | None:
    """Return the words that have changed of a long text, or the lines of JSON; None for values side by side."""
    compare = differences
    if is_json(old) and is_json(new):
        old, new, compare = pretty(old), pretty(new), differences_by_line
    elif not (is_text(field, old) and is_text(field, new)):
        return None
    if max(len(old), len(new)) <= SHORT and "\n" not in old + new:
        return None
    pieces = compare(old, new)
    return None if pieces is None else marked(pieces)


def _sides(field: Any, change: Any, objects: NamedObjects) -> tuple[str | None, str | None]:
    """Return the values before and after; two values that look the same, such as times, are written exactly."""
    old, new = (None if side is NO_ROW else shown(field, side, objects) for side in change)
    return (exactly(change[0]), exactly(change[1])) if old == new else (old, new)


def _line_of_relation(label: str, field: Any, change: Related, objects: NamedObjects) -> Line:
    target = _target_of_relation(field)
    added, removed = (
        [objects.shown(*target, key) if target else format_html("{}", key) for key in islice(keys, MOST_NAMED)]
        for keys in change
    )
    more = sum(max(len(keys) - MOST_NAMED, 0) for keys in change)
    return Line(label, added=added, removed=removed, is_relation=True, more=more)


# --- what travelled with a change ---------------------------------------------------------------------------------


def shown_context(text: str) -> str:
    """Return the context of a change set as JSON on several lines, without secrets."""
    try:
        return pretty(_without_secrets(json.loads(text))) if text else ""
    except (ValueError, RecursionError):
        return text


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "masked" if is_sensitive(key) else _without_secrets(one) for key, one in value.items()}
    return [*map(_without_secrets, value)] if isinstance(value, list) else value
