"""The question of `explain`: which write of which model it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, get_args

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import BooleanField, JSONField, Model
from django.db.models.base import ModelBase

from heliograph.conditions import columns_of, shown_value, suggestion

# `save` is a creation or an update; `add` gives an instance related objects of a many-to-many field.
Operation = Literal["save", "create", "update", "delete", "add"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)


@dataclass(frozen=True)
class AskedWrite:
    """A write that nobody has made yet."""

    model: type[Model]
    operation: Operation = "save"
    pk: Any = None  # of the row that is written; without it, `--analyze` takes the newest
    # The values to set before the write, by the attributes of the fields: a foreign key is given by its column.
    values: Mapping[str, Any] = field(default_factory=dict)
    using: str = DEFAULT_DB_ALIAS

    def __str__(self) -> str:
        pk = () if self.pk is None else (f"pk={self.pk}",)
        given = ", ".join([*pk, *(f"{name}={shown_value(name, value)}" for name, value in self.values.items())])
        of_database = "" if self.using == DEFAULT_DB_ALIAS else f" in {self.using!r}"
        return f"{self.model._meta.label} {self.operation}{f' ({given})' if given else ''}{of_database}"


def asked_write(
    model: type[Model] | str,
    operation: str = "save",
    *,
    pk: Any = None,
    values: Mapping[str, Any] | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> AskedWrite:
    """Return a write, with its key and its values converted by their fields; a save of a row with a key is an update.

    The model may be named "app.Model". Values may be the texts of a command line. Raises LookupError for an unknown
    model, field or database, and TypeError or ValueError for what no such write can have.
    """
    found = _model(model)
    if operation not in OPERATIONS:
        raise ValueError(f"explain() takes the operations {', '.join(OPERATIONS)}, not {operation!r}.")
    if using not in connections:
        raise LookupError(f"There is no database {using!r}. {_there_are(connections)}")
    if values and operation in ("delete", "add"):
        raise ValueError(f"{operation!r} of {found._meta.label} sets no field: leave the values out.")
    key = None if pk is None else _key(found, pk)
    kind: Any = "update" if operation == "save" and key is not None else operation
    return AskedWrite(found, kind, key, dict(_converted(found, values or {})), using)


def parsed(assignments: list[str]) -> dict[str, str]:
    """Return the values of texts such as "status=paid", by name; raise ValueError for another text."""
    for text in assignments:
        if "=" not in text or not text.partition("=")[0].strip():
            raise ValueError(f"--set takes the name of a field and its value, as in status=paid, not {text!r}.")
    return dict(_halves(text) for text in assignments)


def _halves(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value


# --- models -------------------------------------------------------------------------------------------------------


def _model(model: type[Model] | str) -> type[Model]:
    found: Any = _named_model(model) if isinstance(model, str) else model
    if not isinstance(found, ModelBase) or found is Model:
        raise TypeError(f"explain() takes a model, or its label such as 'shop.Order', not {found!r}.")
    options: Any = found._meta  # type: ignore[attr-defined]  # it is a model
    if options.abstract or options.swapped:
        raise TypeError(f"explain() takes a model with a table, and {options.label} is abstract or swapped.")
    return found  # type: ignore[return-value]  # it is a model


def _named_model(label: str) -> type[Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        raise LookupError(f"There is no model {label!r}. {_nearest(label)}") from None


def _nearest(label: str) -> str:
    """Return a hint for an unknown label: the models with this name in other apps, or with a similar name."""
    by_name: dict[str, list[str]] = {}
    for model in apps.get_models():
        by_name.setdefault(str(model._meta.model_name), []).append(model._meta.label)
    name = label.rpartition(".")[2].lower()
    close = [name] if name in by_name else get_close_matches(name, by_name, n=2, cutoff=0.7)
    found = [repr(one) for similar in close for one in by_name[similar]]
    if found:
        return f"Did you mean {' or '.join(found)}?"
    return "A model is named by its app and its name, such as 'shop.Order'."


def _there_are(names: Any) -> str:
    return f"There are: {', '.join(sorted(names))}."


# --- values -------------------------------------------------------------------------------------------------------


def _key(model: Any, pk: Any) -> Any:
    fields, options = model._meta.pk_fields, model._meta
    if len(fields) == 1:
        return _value(options.label, fields[0], pk)
    parts = pk.split(",") if isinstance(pk, str) else [*pk]
    if len(parts) != len(fields):
        names = ", ".join(one.name for one in fields)
        raise ValueError(f"The key of {options.label} has {len(fields)} parts ({names}), not {len(parts)}: {pk!r}.")
    return tuple(_value(options.label, one, part) for one, part in zip(fields, parts, strict=True))


def _converted(model: type[Model], values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    options = model._meta
    by_name = {name: one for one in options.concrete_fields for name in (one.name, one.attname)}
    for name, value in values.items():
        found = by_name.get(name)
        if name == "pk" or found in options.pk_fields:
            raise ValueError(f"{options.label}.{name} is the primary key: say which row is written by pk.")
        if found is None:
            hint = suggestion(name, columns_of(model))
            raise LookupError(f"{options.label} has no field {name!r} with a column. {hint}")
        if found.generated:
            raise ValueError(f"{options.label}.{name} is generated: no save sets it.")
        yield found.attname, _value(options.label, found, value)


def _value(label: str, one: Any, value: Any) -> Any:
    """Return a value as the attribute of a field has it; a relation is given by an instance or its key."""
    if one.is_relation and isinstance(value, one.related_model):
        return getattr(value, one.target_field.attname)
    if value is None or (value == "" and one.null and not one.empty_strings_allowed):
        return None
    try:
        return _cleaned(one, value)
    except (ValidationError, TypeError) as error:
        text = " ".join([*getattr(error, "messages", [str(error)]), *_hint(one, value)])
        raise ValueError(f"{value!r} is no value of {label}.{one.name} ({_kind(one)}): {text}") from None


def _hint(one: Any, value: Any) -> Iterator[str]:
    if one.null and isinstance(value, str) and value.lower() in ("null", "none"):
        yield f"For NULL, give nothing: {one.name}="


def _cleaned(one: Any, value: Any) -> Any:
    if isinstance(one, JSONField) and isinstance(value, str):
        form_field: Any = one.formfield(required=False)  # which accepts {} and [], as a model does
        found = form_field.clean(value)
    elif isinstance(one, BooleanField) and isinstance(value, str) and value.lower() in ("true", "false"):
        found = value.lower() == "true"
    else:
        found = one.to_python(value)
    if one.choices:
        one.validate(found, None)
    return found


def _kind(one: Any) -> str:
    return f"a key of {one.related_model._meta.label}" if one.is_relation else type(one).__name__
