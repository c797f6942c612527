"""Rows as entries name them: by the label of the model of each of its tables, and by the key as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from heliograph.audit.change_texts import key_text
from heliograph.audit.models import Action, Entry
from heliograph.audit.stored_changes import model_labelled
from heliograph.changes.comparing import Change
from heliograph.outbox.payload.value_decoding import key_of


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A row of one table, by the names that its entries have."""

    label: str
    key: str


def tables_of(model: Any) -> list[Any]:
    """Return the models of the tables that a row of a model stands in: its own, and its parents'."""
    concrete = model._meta.concrete_model
    return [concrete, *(one for one, link in concrete._meta.parents.items() if link is not None)]


def named(what: Any, using: str | None = None) -> list[NamedRow]:
    """Return the names of an instance, or of (model, key), in each of its tables.

    Raises ValueError for an instance without a key, and for a key that is none of the model's.
    """
    if isinstance(what, Model):
        return _of_instance(what)
    model, key = what
    known = model_labelled(model) if isinstance(model, str) else model
    if known is None:
        return [NamedRow(model, key_text(key))]
    return [NamedRow(one._meta.label, key_text(value)) for one, value in keys_in_tables(known, key, using)]


def _of_instance(instance: Any) -> list[NamedRow]:
    if instance.pk is None or (isinstance(instance.pk, tuple) and None in instance.pk):
        label = type(instance).__name__
        raise ValueError(f"{instance!r} has no primary key, as after delete(): give ({label}, key) in its place.")
    own, *parents = tables_of(type(instance))
    links = own._meta.parents
    return [
        NamedRow(own._meta.label, key_text(instance.pk)),
        *(NamedRow(one._meta.label, key_text(getattr(instance, links[one].attname))) for one in parents),
    ]


# --- keys ---------------------------------------------------------------------------------------------------------


def keys_in_tables(model: Any, key: Any, using: str | None = None) -> Iterator[tuple[Any, Any]]:
    """Yield each table of a row, with the key that the row has in it."""
    own, *parents = tables_of(model)
    key = as_key(own, key)
    yield own, key
    for parent in parents:
        found = key if has_same_key(own, parent) else _key_by_link(own, key, own._meta.parents[parent], using)
        if found is not None:
            yield parent, found


def has_same_key(model: Any, parent: Any) -> bool:
    """Return whether the row of a parent has the key of the child's row."""
    link = model._meta.parents[parent]
    return link.primary_key and (link.model is model or has_same_key(model, link.model))


def _key_by_link(model: Any, key: Any, link: Any, using: str | None) -> Any:
    """Return the key of a parent's row, to which the child refers: of the row, or of its last entry if it is gone."""
    found = model._base_manager.using(using).filter(pk=key).values_list(link.attname, flat=True).first()
    if found is not None:
        return found
    entries = Entry.objects.using(using).select_related("kind").filter(object=key_text(key))
    gone = entries.filter(kind__model=link.model._meta.label, kind__action=Action.DELETED).last()
    change = None if gone is None else gone.changes.get(link.name)
    return change.old if isinstance(change, Change) else None


def as_key(model: Any, key: Any) -> Any:
    """Return a primary key with the types of its fields; ValueError for a key that is none of the model's.

    A key of several columns may also be given as the text that an entry has, such as "[1,2]".
    """
    fields = model._meta.pk_fields
    parts = key if isinstance(key, tuple | list) else (key,)
    try:
        if len(fields) > 1 and isinstance(key, str):
            return key_of(model, json.loads(key))
        found = tuple(field.to_python(part) for field, part in zip(fields, parts, strict=True))
    except Exception as error:  # a field may raise any error for a value that it does not accept
        raise ValueError(f"{key!r} is no primary key of {model._meta.label}.") from error
    return found if len(fields) > 1 else found[0]


def key_or_none(model: Any, text: str) -> Any:
    """Return the primary key that an entry has as text; None if it is no key of the model any more."""
    try:
        return as_key(model, text)
    except ValueError:
        return None
