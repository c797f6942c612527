"""Saving a parent: saves and bulk writes leave its kept fields alone, and a new row begins without children."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from heliograph import raw
from heliograph.recipes.declarations import Declaration, named
from heliograph.recipes.kept.kept_fields import KeptField, name_of
from heliograph.signals import pre_bulk_create, pre_save


def is_new(instance: Any, update_fields: Any = None, **kwargs: Any) -> bool:
    """Return whether a save inserts a row, as far as that is known before it; a copy by `pk = None` has no key."""
    return update_fields is None and (instance._state.adding or not instance._is_pk_set())


def begin(fields: Sequence[KeptField], sender: Any, instance: Any, **kwargs: Any) -> None:
    """Let a new row begin with the values of a parent without children: a copy carries those of its original."""
    for kept in fields:
        setattr(instance, kept.field.attname, kept.empty)


def begin_each(fields: Sequence[KeptField], sender: Any, instances: Iterable[Any], **kwargs: Any) -> None:
    """Let many new rows begin with the values of parents without children."""
    for instance in instances:
        begin(fields, sender, instance)


def connect(declaration: Declaration, fields: Sequence[KeptField]) -> None:
    """Connect the receivers of a parent's saves and insertions."""
    of_parent: Any = {"sender": fields[0].parent, "subclasses": True}
    keeps = [kept.name for kept in fields]
    one, many = (named(name_of(fields), partial(function, fields)) for function in (begin, begin_each))
    declaration.connect(pre_save, one, **of_parent, when=~raw & is_new, keeps=keeps)
    declaration.connect(pre_bulk_create, many, **of_parent)
