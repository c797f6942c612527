"""Encoding: values become JSON, of which `decoding` makes what they were: dates, sets, models and their instances."""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.apps import AppConfig
from django.core.files import File
from django.db import router
from django.db.models import Field, Model
from django.db.models.base import ModelBase
from django.utils.duration import duration_iso_string
from django.utils.functional import Promise

from heliograph.changes.comparing import Change
from heliograph.changes.current import without_wrapper
from heliograph.changes.values import NO_ROW, UNKNOWN, is_expression
from heliograph.dispatch.reentrancy import key_of
from heliograph.outbox.durable.names import is_of_app
from heliograph.outbox.payload.classes import may_travel, path_of

# What is not JSON is an object with its kind under this name, and with its value.
KIND, VALUE = "$", "value"

_AS_THEY_ARE = frozenset([str, int, bool, type(None)])


class UnstorableError(TypeError):
    """A value cannot be stored; the message says which, and why."""


class UnsavedError(UnstorableError):
    """An instance cannot be stored, since it has no row yet."""


def encoded(value: Any) -> Any:
    """Return a value as what JSON has; UnstorableError if it cannot come back as what it was."""
    if type(value) in _AS_THEY_ARE:
        return value
    encode = _ENCODERS.get(type(value)) or _encoder_of(value)
    return encode(value)


def tagged(kind: str, value: Any) -> dict[str, Any]:
    """Return what stands for a value that JSON does not have."""
    return {KIND: kind, VALUE: value}


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise UnstorableError(f"{value!r} is no number of JSON")
    return value


def _dict(value: Mapping[Any, Any]) -> dict[str, Any]:
    for key in value:
        if type(key) is not str:
            raise UnstorableError(f"its key {key!r} is not a text")
    encoded_items = {key: _inside(key, item) for key, item in value.items()}
    return encoded_items if KIND not in value else tagged("dict", [*map(list, encoded_items.items())])


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
    path = path_of(kind)
    if "<" in path:
        raise UnstorableError(f"no other process can import {path.replace(':', '.')}")
    return path


def _class(kind: type) -> str:
    if not may_travel(kind):
        raise UnstorableError(f"{path_of(kind).replace(':', '.')} is a class of Python's own: send its name")
    return _path(kind)


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
    (type, _tag("class", _class)),
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
