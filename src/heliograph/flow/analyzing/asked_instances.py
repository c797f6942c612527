"""The instance that an asked write is about: a fresh copy of a row, or a new one, and the function that writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.db.models import Field, Model

from heliograph.flow.asked_writes import AskedWrite


class Prepared(NamedTuple):
    """An instance, and the write of it, which is still to be made."""

    instance: Model
    write: Callable[[], object]


def prepared(asked: AskedWrite) -> Prepared:
    """Return the instance of a write, read from the database of the write and from no replica, and the write.

    Raises LookupError for a missing row or an unknown field, and ValueError for a required value that is missing.
    """
    match asked.operation:
        case "create":
            instance = _new(asked)
            return Prepared(instance, partial(instance.save, using=asked.using, force_insert=True))
        case "save" | "update":
            instance = _with_values(_row_of(asked), asked)
            return Prepared(instance, partial(instance.save, using=asked.using))
        case "delete":
            instance = _row_of(asked)
            return Prepared(instance, partial(instance.delete, using=asked.using))
        case "add":
            instance = _row_of(asked)
            return Prepared(instance, partial(_add, instance, _relations(asked)))


def _row_of(asked: AskedWrite) -> Model:
    rows = asked.model._base_manager.using(asked.using)
    row = rows.order_by("-pk").first() if asked.pk is None else rows.filter(pk=asked.pk).first()
    if row is None:
        which = "has no row" if asked.pk is None else f"has no row with the primary key {asked.pk!r}"
        raise LookupError(f"{asked.model._meta.label} {which} on {asked.using!r}: {_advice(asked)}.")
    return row


def _advice(asked: AskedWrite) -> str:
    if asked.pk is None:
        return "make a row first, or ask for 'create'"
    return "ask for another row, or for none, and the newest row is taken"


def _new(asked: AskedWrite) -> Model:
    instance = asked.model()
    if asked.pk is not None:
        instance.pk = asked.pk
    missing = [one for one in asked.model._meta.concrete_fields if _is_missing(_with_values(instance, asked), one)]
    if missing:
        names = ", ".join(field.name for field in missing)
        raise ValueError(
            f"{asked.model._meta.label} cannot be created without {names}: a row needs"
            f" {'it' if len(missing) == 1 else 'them'}. {_advice_for_new(missing)}"
        )
    return instance


def _advice_for_new(missing: Sequence[Any]) -> str:
    """Return how to give the first value that is missing."""
    first = missing[0]
    if first in first.model._meta.pk_fields:
        return "Give the primary key by pk=..., in the command --pk ..."
    return f"Give values, such as {first.name}=..., in the command --set {first.name}=..."


def _is_missing(instance: Model, field: Field[Any, Any]) -> bool:
    """Return whether a field has no value, and neither the model nor the database gives it one."""
    if field.null or field.generated or field.auto_created or field.has_db_default():
        return False
    is_automatic = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    is_numbered = field.primary_key and field.db_returning
    return not is_automatic and not is_numbered and getattr(instance, field.attname) is None


def _with_values(instance: Model, asked: AskedWrite) -> Model:
    for name, value in asked.values.items():
        setattr(instance, name, value)
    return instance


# --- many-to-many relations -------------------------------------------------------------------------------------


def _relations(asked: AskedWrite) -> Mapping[str, list[Any]]:
    """Return the objects to add, by the names of their fields; without values, the newest object of each field."""
    fields = {field.name: field for field in asked.model._meta.many_to_many}
    given = asked.values or {name: _newest(field, asked.using) for name, field in fields.items()}
    if not given or not fields.keys() >= given.keys():
        label, names = asked.model._meta.label, ", ".join(fields) or "none"
        raise LookupError(f"'add' is about a many-to-many field, and those of {label} are: {names}.")
    return {name: [*value] if isinstance(value, Iterable) else [value] for name, value in given.items()}


def _newest(field: Any, using: str) -> list[Any]:
    return [*field.related_model._base_manager.using(using).order_by("-pk")[:1]]


def _add(instance: Model, relations: Mapping[str, list[Any]]) -> None:
    for name, objects in relations.items():
        getattr(instance, name).add(*objects)
