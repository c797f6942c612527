"""The entries about a person, in batches; the entries that say that a row belonged to the person come last.

So if the process is killed, the next run still finds which rows belonged to the person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from json import dumps, loads
from typing import Any

from django.apps import apps

from heliograph.audit.audited_models import AUDITED, Audited
from heliograph.audit.chain import rows
from heliograph.audit.change_texts import key_text
from heliograph.audit.models import Entry, Kind
from heliograph.outbox.payload.kinds import KIND, VALUE
from heliograph.outbox.payload.value_encoding import encoded

_ROWS = 100  # whose entries are one batch


@dataclass(frozen=True)
class Person:
    """The row of a person: the model by its label, and the primary key as an entry has it."""

    using: str
    label: str
    key: str

    @cached_property
    def models(self) -> Sequence[Any]:
        """The models whose tables have a part of the row; none if the model is no longer there."""
        try:
            return family_of(apps.get_model(self.label))
        except LookupError:
            return ()

    @cached_property
    def labels(self) -> Sequence[str]:
        """The labels that entries of the row have."""
        return [self.label, *(one._meta.label for one in self.models if one._meta.label != self.label)]

    @property
    def actors(self) -> Sequence[str]:
        """The names of the person as an actor."""
        return [f"{label} {self.key}" for label in self.labels]

    def values_in(self, field: Any) -> list[Any]:
        """Return the values, as JSON, that a foreign key to the person has or had."""
        target = field.target_field
        if target.primary_key:
            return [encoded(target.to_python(self.key))]
        now = target.model._base_manager.using(self.using).filter(pk=self.key).values_list(target.attname, flat=True)
        found = [encoded(value) for value in now]
        entries = entries_of(self.using, self.labels, [self.key], field=target.name)
        for text in entries.exclude(text="").values_list("text", flat=True):
            found += sides_of(loads(text).get(target.name))
        return found


def family_of(model: Any) -> list[Any]:
    """Return a model with its parents and children: the models whose tables have a part of one row."""
    own = model._meta.concrete_model
    return [
        one
        for one in apps.get_models(include_auto_created=True)
        if not one._meta.proxy and (issubclass(one, own) or issubclass(own, one))
    ]


def batches_about(person: Person) -> Iterator[list[int]]:
    """Yield the ids of the entries about a person that are not forgotten yet."""
    for audited in [*AUDITED.values()]:
        yield from _of_subject(person, audited)
        yield from _of_names(person, audited)
    own = entries_of(person.using, person.labels, [person.key])
    yield [*own.exclude(text="", salt="").order_by("pk").values_list("pk", flat=True)]


def entries_of(using: str, labels: Collection[str], keys: Collection[str], field: str | None = None) -> Any:
    """Return the entries of rows, or those that have a field."""
    entries = rows(Entry, using).filter(kind__in=kind_numbers_of(using, labels, field))
    return entries.filter(object__in=keys) if keys else entries


def kind_numbers_of(using: str, labels: Collection[str], field: str | None = None) -> list[int]:
    """Return the numbers of the kinds of models, or of those with a field."""
    kinds = rows(Kind, using).filter(model__in=labels)
    return [*(kinds.filter(fields__contains=f",{field},") if field else kinds).values_list("pk", flat=True)]


def sides_of(value: Any) -> list[Any]:
    """Return the values that an entry has for a field: before and after, or the only one; none if it is masked."""
    if isinstance(value, dict) and KIND not in value:
        return [value[name] for name in ("old", "new", VALUE) if name in value]
    return value if isinstance(value, list) else []


# --- rows of others -----------------------------------------------------------------------------------------------


def _of_subject(person: Person, audited: Audited) -> Iterator[list[int]]:
    """Yield the entries of all rows of a model that have belonged to the person at any time."""
    field: Any = audited.fields.get(audited.subject or "")
    if not _refers_to(field, person):
        return
    values = person.values_in(field)
    mentions = _mentions(person.using, audited, field, values)
    present = audited.model._base_manager.using(person.using).filter(**{field.name: person.key})
    keys = sorted({*(key for _, key in mentions), *map(key_text, present.values_list("pk", flat=True))})
    labels = [one._meta.label for one in family_of(audited.model)]
    last = {number for number, _ in mentions}
    for start in range(0, len(keys), _ROWS):
        entries = entries_of(person.using, labels, keys[start : start + _ROWS]).exclude(text="", salt="")
        ids = [*entries.order_by("pk").values_list("pk", flat=True)]
        yield [*(one for one in ids if one not in last), *(one for one in ids if one in last)]


def _of_names(person: Person, audited: Audited) -> Iterator[list[int]]:
    """Yield the entries of a model that say how the person was called."""
    for name in audited.named:
        field = audited.fields.get(name)
        if _refers_to(field, person):
            yield [number for number, _ in _mentions(person.using, audited, field, person.values_in(field))]


def _refers_to(field: Any, person: Person) -> bool:
    return field is not None and field.is_relation and field.related_model in person.models


def _mentions(using: str, audited: Audited, field: Any, values: Sequence[Any]) -> list[tuple[int, str]]:
    """Return the entries of a model, with the keys of their rows, in which a field has one of these values."""
    found: dict[int, str] = {}
    for value in values:
        text = dumps(value[VALUE] if isinstance(value, dict) else value)
        entries = entries_of(using, [audited.label], (), field=field.name).filter(text__contains=text)
        rows_with_text = entries.values_list("pk", "object", "text").iterator()
        found |= {one: key for one, key, json in rows_with_text if value in sides_of(loads(json).get(field.name))}
    return sorted(found.items())
