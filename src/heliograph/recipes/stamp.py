"""Stamp: the time at which a condition held is stored in a field of the row, in the same write."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, DateField, DateTimeField, F, Model, TimeField, Value, When
from django.db.models.expressions import DatabaseDefault
from django.utils import timezone

from heliograph import Condition, changes_of, raw
from heliograph.building import Changed, OnFields, condition, fields_of
from heliograph.recipes.declarations import Declaration, declare, named, written
from heliograph.recipes.fields import field_named
from heliograph.recipes.updated_rows import Rows, rows_of, verify
from heliograph.signals import pre_bulk_create, pre_save, pre_update


def stamp(model: type[Model] | str, field: str, *, when: Condition) -> Declaration:
    """Set a DateTimeField, DateField or TimeField to now in each write for which a condition holds.

        stamp(Order, "paid_at", when=changed("status", to="paid"))

    This works for `save()`, also with `update_fields`, for `bulk_create()`, `bulk_update()`, and `update()`, where each
    row is compared by itself. A value that the write itself gives to the field is left alone, and so are the rows of
    fixtures. The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, ValueError or FieldDoesNotExist, with what to do, for a field or a condition that does not fit; if
    models are not loaded yet, a system check reports it.
    """
    asked, text = condition(when), written("stamp", model, field, when=when)

    def connect(declaration: Declaration, model: type[Model]) -> None:
        found = _stamped_field(text, model, field)
        verify(text, asked, model, found)
        declaration.claim(found, f"{field!r} is stamped already", "Join the conditions by |.")
        stamping = Stamping(found, asked)
        has_old = any(isinstance(leaf, Changed) for leaf in asked.leaves())
        saves: Any = {"when": ~raw & asked, "fetch": has_old, "bulk": True, "writes": [field]}

        def receive(signal: Any, method: Callable[..., None], **options: Any) -> None:
            receiver = named(f"stamp({model._meta.label}.{field})", method)
            declaration.connect(signal, receiver, sender=model, subclasses=True, **options)

        receive(pre_save, stamping.save, **saves)
        receive(pre_update, stamping.update)
        receive(pre_bulk_create, stamping.refuse_conflicts)

    return declare(text, connect, model)


def _stamped_field(text: str, model: type[Model], name: str) -> Any:
    field = field_named(text, model, name, DateTimeField, DateField, TimeField)
    for option in ("auto_now", "auto_now_add"):
        if getattr(field, option):
            raise TypeError(f"{text}: {name!r} has {option}=True, which sets it by itself. Take that away.")
    return field


@dataclass(frozen=True)
class Stamping:
    """What sets one field to now."""

    field: Any
    when: Condition

    def save(self, instance: Any, update_fields: Collection[str] | None, **kwargs: Any) -> None:
        """Stamp an instance that is saved, or written in bulk."""
        is_written = update_fields is None or self.field.name in update_fields
        if not (is_written and self._is_given(instance)):
            setattr(instance, self.field.attname, now(self.field))

    def _is_given(self, instance: Any) -> bool:
        """Return whether the caller has assigned a value."""
        if instance._state.adding:
            value = instance.__dict__.get(self.field.attname)
            return value is not None and not isinstance(value, DatabaseDefault)
        change = changes_of(instance, self.field.name).get(self.field.name)
        return change is not None and change.new is not None

    def update(self, sender: Any, values: dict[str, Any], **kwargs: Any) -> None:
        """Stamp the rows of an update, each by its old values."""
        rows: Rows = self.field.name not in values and rows_of(self.when, sender, values)
        if rows is False:
            return
        time: Any = Value(now(self.field), output_field=self.field)
        stamped = time if rows is True else Case(When(rows, then=time), default=F(self.field.name))
        # First, because MariaDB and MySQL assign from left to right, and compare with what is assigned already.
        others = {**values}
        values.clear()
        values.update({self.field.name: stamped, **others})

    def refuse_conflicts(self, sender: Any, update_fields: Collection[str] | None, **kwargs: Any) -> None:
        """Refuse an upsert that may change rows for which the condition holds: nobody knows yet which they are."""
        names = {*(update_fields or ())}
        changed = sorted(name for name in names if any(_asks(leaf, sender, name) for leaf in self.when.leaves()))
        if changed and self.field.name not in names:
            raise TypeError(
                f"bulk_create(update_conflicts=True) would change {sender._meta.label}.{changed[0]} and leave"
                f" {self.field.name!r} as it is. Add {self.field.name!r} to update_fields, or update() the rows."
            )


def _asks(leaf: Condition, model: type[Model], name: str) -> bool:
    """Return whether a condition may hold or not because a field has another value."""
    if isinstance(leaf, Changed) and not leaf.fields:
        return True
    return isinstance(leaf, OnFields) and any(name in (one.name, one.attname) for one in fields_of(model, leaf.fields))


def now(field: Any) -> Any:
    """Return the time for a field; a day or a time of day is one in the zone of the settings."""
    time = timezone.now()
    if isinstance(field, DateTimeField):
        return time
    if timezone.is_aware(time):
        time = timezone.localtime(time, timezone.get_default_timezone())
    return time.date() if isinstance(field, DateField) else time.time()
