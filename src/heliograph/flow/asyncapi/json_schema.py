"""JSON Schema of annotations: the JSON that the outbox stores for a value with this annotation."""

from __future__ import annotations

import datetime
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from django.apps import apps
from django.db.models import Field, Model

from heliograph.outbox.payload.errors import UnstorableError
from heliograph.outbox.payload.kinds import KIND, VALUE
from heliograph.outbox.payload.value_encoding import encoded

Schema = dict[str, Any]

ANYTHING: Schema = {}

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    None: {"type": "null"},
}

# The name of the kind in a payload, and the schema of its value; the first class that fits counts.
_KINDS: tuple[tuple[type, str, Schema], ...] = (
    (datetime.datetime, "datetime", {"type": "string", "format": "date-time"}),
    (datetime.date, "date", {"type": "string", "format": "date"}),
    (datetime.time, "time", {"type": "string", "format": "time"}),
    (datetime.timedelta, "timedelta", {"type": "string", "format": "duration"}),
    (Decimal, "decimal", {"type": "string"}),
    (UUID, "uuid", {"type": "string", "format": "uuid"}),
    (bytes, "bytes", {"type": "string", "contentEncoding": "base64"}),
)


def schema_of(annotation: Any) -> Schema:
    """Return the schema of an annotation; an empty one, which is true of every value, if the type says nothing."""
    origin = get_origin(annotation)
    if origin is not None:
        return _of_generic(origin, get_args(annotation))
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, NewType):
        return schema_of(annotation.__supertype__)
    return _of_class(annotation) if isinstance(annotation, type) else ANYTHING


def tagged(kind: str, value: Schema) -> Schema:
    """Return the schema of a value that is stored as an object with its kind."""
    return _object({KIND: {"const": kind}, VALUE: value})


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [*properties],
        "additionalProperties": False,
    }


# --- classes --------------------------------------------------------------------------------------------------------


def _of_class(cls: type) -> Schema:
    if issubclass(cls, Model):
        return _of_instance(cls)
    if issubclass(cls, Enum):
        return _of_values([*cls])
    if is_dataclass(cls):
        hints = get_type_hints(cls)
        return _object({field.name: schema_of(hints[field.name]) for field in fields(cls)})
    for kind_of, kind, value in _KINDS:
        if issubclass(cls, kind_of):
            return tagged(kind, value)
    if cls in (type, *_COLLECTIONS):
        return _of_generic(cls, ())
    return _PLAIN[str] if issubclass(cls, str) else ANYTHING


def _of_instance(model: type[Model]) -> Schema:
    """Return the schema of a reference to a row: the label of its model, its key, and the alias of its database."""
    keys = [_of_field(field) for field in model._meta.pk_fields]
    return tagged("row", _array([_one_of(labels_of(model)), _array(keys or [ANYTHING]), _PLAIN[str]]))


def labels_of(model: type[Model]) -> list[str]:
    """Return the labels of a model and of the models that inherit from it; an abstract model has no label."""
    found = [one for one in apps.get_models() if issubclass(one, model)]
    return [one._meta.label for one in found] or [model._meta.label]


def _of_field(field: Any) -> Schema:
    """Return the schema of a key; a foreign key has the schema of the field to which it refers."""
    while field.remote_field is not None:
        field = field.target_field
    return next((schema_of(kind) for kind, names in _KEYS.items() if _is_of(field, names)), ANYTHING)


_KEYS: dict[type, tuple[str, ...]] = {
    int: ("AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField", "PositiveIntegerField"),
    str: ("CharField", "TextField", "SlugField"),
    UUID: ("UUIDField",),
    datetime.date: ("DateField",),
    datetime.datetime: ("DateTimeField",),
    Decimal: ("DecimalField",),
}


def _is_of(field: Field[Any, Any], names: Collection[str]) -> bool:
    return field.get_internal_type() in names


# --- generic types --------------------------------------------------------------------------------------------------


def _of_generic(origin: Any, args: tuple[Any, ...]) -> Schema:
    if origin is Annotated:
        return schema_of(args[0])
    if origin in (Union, types.UnionType):
        return _any_of([schema_of(one) for one in args])
    if origin is Literal:
        return _of_values(args)
    if origin is type:
        return _of_model_class(args[0] if args else object)
    of_collection = _COLLECTIONS.get(origin)
    return of_collection(args) if of_collection else ANYTHING


def _any_of(schemas: list[Schema]) -> Schema:
    return ANYTHING if ANYTHING in schemas else {"anyOf": schemas}


def _of_values(values: Collection[Any]) -> Schema:
    try:
        return {"enum": [encoded(value) for value in values]}
    except UnstorableError as error:
        return {"description": f"It cannot be stored: {error}."}


def _one_of(values: list[str]) -> Schema:
    return {"const": values[0]} if len(values) == 1 else {"enum": values}


def _of_model_class(cls: Any) -> Schema:
    is_model = isinstance(cls, type) and issubclass(cls, Model)
    return tagged("model", _one_of(labels_of(cls))) if is_model else _object({KIND: _PLAIN[str], VALUE: _PLAIN[str]})


def _array(items: list[Schema]) -> Schema:
    return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}


def _of_list(args: tuple[Any, ...]) -> Schema:
    return {"type": "array", "items": schema_of(args[0]) if args else ANYTHING}


def _of_tuple(args: tuple[Any, ...]) -> Schema:
    is_of_any_length = not args or args[-1] is Ellipsis
    return tagged("tuple", _of_list(args) if is_of_any_length else _array([schema_of(one) for one in args]))


def _of_set(kind: str) -> Callable[[tuple[Any, ...]], Schema]:
    return lambda args: tagged(kind, {**_of_list(args), "uniqueItems": True})


def _of_mapping(args: tuple[Any, ...]) -> Schema:
    return {"type": "object", "additionalProperties": schema_of(args[1]) if args else ANYTHING}


_COLLECTIONS: dict[Any, Callable[[tuple[Any, ...]], Schema]] = {
    list: _of_list,
    tuple: _of_tuple,
    set: _of_set("set"),
    frozenset: _of_set("frozenset"),
    dict: _of_mapping,
    Mapping: _of_mapping,
}
