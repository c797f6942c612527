"""Writing: a save of a parent leaves the columns of its kept fields alone, whatever the instance remembers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from django.db.models import F

from heliograph.recipes.declarations import Declaration
from heliograph.recipes.kept.kept_fields import KeptField
from heliograph.signals import pre_bulk_create, pre_bulk_update


def pre_save(kept: KeptField, instance: Any, add: bool) -> Any:
    """Take the place of the field's `pre_save()`: a new row begins without children, and another keeps its value."""
    if not add:
        return F(kept.name)
    setattr(instance, kept.field.attname, kept.empty)
    return kept.empty


def refuse_bulk(
    fields: Collection[KeptField], sender: Any, signal: Any, update_fields: Collection[str] | None, **kwargs: Any
) -> None:
    """Refuse a bulk write that would put old values into the columns of kept fields."""
    named = sorted({kept.name for kept in fields} & {*(update_fields or ())})
    if named:
        method = "bulk_update()" if signal is pre_bulk_update else "bulk_create(update_conflicts=True)"
        raise TypeError(
            f"{method} would write {sender._meta.label}.{named[0]} with the values of instances, which may be old: it"
            " is a kept field. Leave it out of the fields."
        )


def guard(declaration: Declaration, fields: Sequence[KeptField]) -> None:
    """Let saves and bulk writes of the parent leave kept fields alone."""
    for kept in fields:
        kept.field.pre_save = partial(pre_save, kept)
        declaration.undone_by(kept.field.__dict__.pop, "pre_save", None)
    refuse = partial(refuse_bulk, fields)
    declaration.connect([pre_bulk_create, pre_bulk_update], refuse, sender=fields[0].parent, subclasses=True)
