"""Values as JSON that come back as what they were: dates, decimals, sets, models and their instances."""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pkgutil import resolve_name
from typing import Any, NamedTuple
from uuid import UUID

from django.apps import AppConfig, apps
from django.core.files import File
from django.db import router
from django.db.models import Field, Model
from django.db.models.base import ModelBase
from django.utils.dateparse import parse_datetime, parse_duration
from django.utils.duration import duration_iso_string
from django.utils.functional import Promise

from heliograph.changes.comparing import Change
from heliograph.changes.current import without_wrapper
from heliograph.changes.presenting import assembled
from heliograph.changes.values import NO_ROW, UNKNOWN, is_expression
from heliograph.dispatch.reentrancy import key_of
from heliograph.outbox.registry import is_of_app

# What is not JSON is an object with its kind under this name, and with its value.
_KIND, _VALUE = "$", "value"

_AS_THEY_ARE = frozenset([str, int, bool, type(None)])


class UnstorableError(TypeError):
    """A value cannot be stored; the message says which, and why."""


class UnsavedError(UnstorableError):
    """An instance cannot be stored, since it has no row yet."""


class Reference(NamedTuple):
    """What an instance is stored as."""

    model: Any
    key: Any
    using: str  # the alias of the database


Load = Callable[[Reference], Any]

# --- to JSON ----------------------------------------------------------------------------------------------------


def encoded(value: Any) -> Any:
    """Return a value as what JSON has; UnstorableError if it cannot come back as what it was."""
    if type(value) in _AS_THEY_ARE:
        return value
    encode = _ENCODERS.get(type(value)) or _encoder_of(value)
    return encode(value)


def tagged(kind: str, value: Any) -> dict[str, Any]:
    """Return what stands for a value that JSON does not have."""
    return {_KIND: kind, _VALUE: value}


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise UnstorableError(f"{value!r} is no number of JSON")
    return value


def _dict(value: Mapping[Any, Any]) -> dict[str, Any]:
    for key in value:
        if type(key) is not str:
            raise UnstorableError(f"its key {key!r} is not a text")
    encoded_items = {key: _inside(key, item) for key, item in value.items()}
    return encoded_items if _KIND not in value else tagged("dict", [*map(list, encoded_items.items())])


def _list(value: Any) -> list[Any]:
    return [_inside(at, item) for at, item in enumerate(value)]


def _inside(place: Any, item: Any) -> Any:
    try:
        return encoded(item)
    except UnstorableError as error:
        raise type(error)(f"[{place!r}] {error}") from None


def _set(value: Any) -> list[Any]:
    """Return the members in an order that does not depend on the process, where they have one."""
    try:
        members = sorted(value)
    except TypeError:
        members = [*value]
    return _list(members)


def _path(kind: type) -> str:
    path = f"{kind.__module__}:{kind.__qualname__}"
    if "<" in path:
        raise UnstorableError(f"no other process can import {path.replace(':', '.')}")
    return path


def _enum(value: Enum) -> list[str]:
    if value.name not in type(value).__members__:  # several flags at once
        raise UnstorableError(f"{value!r} is no single member of its class")
    return [_path(type(value)), value.name]


def _instance(instance: Any) -> dict[str, Any]:
    instance = without_wrapper(instance)
    return row(type(instance), key_of(instance), router.db_for_write(type(instance), instance=instance))


def row(model: Any, key: Any, using: str) -> dict[str, Any]:
    """Return what stands for the instance of a row."""
    if key is None:
        raise UnsavedError(f"{model.__name__} has no primary key yet: save it first")
    parts = _list(key) if isinstance(key, tuple) else [encoded(key)]
    return tagged("row", [label_of(model), parts, using])


def label_of(model: Any) -> str:
    """Return the label of a model, by which every process knows it; UnstorableError where none does."""
    label: str = model._meta.label
    if model._meta.abstract or not is_of_app(model):
        raise UnstorableError(f"no other process knows the model {label}, since it is not registered")
    return label


def _unstorable(value: Any) -> Any:
    raise UnstorableError(f"there is no way to store {value!r}")


def _tag(kind: str, encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: tagged(kind, encode(value))


_ENCODERS: dict[type, Callable[[Any], Any]] = {
    float: _float,
    list: _list,
    dict: _dict,
    tuple: _tag("tuple", _list),
    set: _tag("set", _set),
    frozenset: _tag("frozenset", _set),
    Change: _tag("change", _list),
    datetime.datetime: _tag("datetime", datetime.datetime.isoformat),
    datetime.date: _tag("date", datetime.date.isoformat),
    datetime.time: _tag("time", datetime.time.isoformat),
    datetime.timedelta: _tag("timedelta", duration_iso_string),
    Decimal: _tag("decimal", str),
    UUID: _tag("uuid", str),
    bytes: _tag("bytes", lambda value: base64.b64encode(value).decode()),
    memoryview: _tag("bytes", lambda value: base64.b64encode(value).decode()),
    type(UNKNOWN): lambda value: tagged("unknown", None),
    type(NO_ROW): lambda value: tagged("no row", None),
}

# For what is not of exactly these classes.
_KINDS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Model, _instance),
    (ModelBase, _tag("model", label_of)),
    (Field, _tag("model field", lambda field: [label_of(field.model), field.name])),
    (AppConfig, _tag("app", lambda app: app.label)),
    (type, _tag("class", _path)),
    (Enum, _tag("enum", _enum)),
    (Promise, lambda value: encoded(str(value))),
    (File, lambda value: encoded(value.name)),
    (str, lambda value: encoded(str.__str__(value))),
    (datetime.datetime, _ENCODERS[datetime.datetime]),
    (datetime.date, _ENCODERS[datetime.date]),
    (datetime.timedelta, _ENCODERS[datetime.timedelta]),
    (Mapping, _dict),
    (Decimal, _ENCODERS[Decimal]),
    (UUID, _ENCODERS[UUID]),
)


def _encoder_of(value: Any) -> Callable[[Any], Any]:
    if is_expression(value) and not isinstance(value, type):
        return _unstorable
    return next((encode for kind, encode in _KINDS if isinstance(value, kind)), _unstorable)


# --- from JSON --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decoder:
    """What makes values of JSON, with a way to load the instances and batches that these refer to."""

    load: Load
    batch: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        """Return what a value was before it was encoded."""
        if isinstance(value, list):
            return [*map(self, value)]
        if not isinstance(value, dict):
            return value
        if _KIND not in value:
            return {key: self(item) for key, item in value.items()}
        kind, inner = value[_KIND], value[_VALUE]
        if kind == "row":
            return self.load(reference_of(inner))
        if kind == "batch":
            return self.batch(inner)
        if kind in _OF_TEXT:
            return _OF_TEXT[kind](inner)
        if kind not in _OF_LIST:
            raise ValueError(f"A value of the kind {kind!r} is unknown to this version of Heliograph.")
        return _OF_LIST[kind](self(inner))


def is_row(value: Any) -> bool:
    """Return whether an encoded value refers to the instance of a row."""
    return isinstance(value, dict) and value.get(_KIND) == "row"


def reference_of(inner: Any) -> Reference:
    """Return what the value of a "row" refers to."""
    label, parts, using = inner
    return Reference(apps.get_model(label), key_of_parts(parts), using)


def key_of_parts(parts: Sequence[Any]) -> Any:
    """Return the primary key whose parts were encoded."""
    key = [_of_key(part) for part in parts]
    return key[0] if len(key) == 1 else tuple(key)


def _refuse(value: Any) -> Any:
    raise ValueError(f"{value} is no part of a primary key.")


_of_key = Decoder(_refuse, _refuse)


def _gone(label: str, using: str, values: Mapping[str, Any]) -> Any:
    """Return an instance of a row that is gone; fields that were not stored are not loaded."""
    return apps.get_model(label).from_db(using, [*values], [*values.values()])


def _of_field(label: str, name: str, text: str) -> Any:
    return apps.get_model(label)._meta.get_field(name).to_python(text)


def _of_columns(label: str, name: str, columns: Mapping[str, Any]) -> Any:
    return assembled(apps.get_model(label), name, columns)


def _duration(text: str) -> datetime.timedelta:
    duration = parse_duration(text)
    if duration is None:
        raise ValueError(f"{text!r} is no duration.")
    return duration


def _enum_member(path_and_name: list[str]) -> Any:
    path, name = path_and_name
    return resolve_name(path)[name]


_OF_TEXT: dict[str, Callable[[Any], Any]] = {
    "unknown": lambda value: UNKNOWN,
    "no row": lambda value: NO_ROW,
    "datetime": lambda text: parse_datetime(text),
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": _duration,
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": base64.b64decode,
    "model": apps.get_model,
    "app": apps.get_app_config,
    "class": resolve_name,
    "enum": _enum_member,
}
_OF_LIST: dict[str, Callable[[Any], Any]] = {
    "dict": lambda items: dict(items),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "change": lambda values: Change(*values),
    "gone": lambda values: _gone(*values),
    "field": lambda values: _of_field(*values),
    "columns": lambda values: _of_columns(*values),
    "model field": lambda names: apps.get_model(names[0])._meta.get_field(names[1]),
}
