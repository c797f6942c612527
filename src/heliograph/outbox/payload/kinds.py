"""The kinds of values that JSON does not have: each with its encoder and, beside it, its decoder.

A value of a kind is stored as `{"$": "decimal", "value": "0.10"}`. Another kind is a line of `KINDS`; one that was ever
stored stays, since its rows may wait still.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.apps import AppConfig, apps
from django.db.models import Field
from django.db.models.base import ModelBase
from django.utils.dateparse import parse_datetime, parse_duration
from django.utils.duration import duration_iso_string

from heliograph.changes.comparing import Change
from heliograph.changes.values import NO_ROW, UNKNOWN
from heliograph.outbox.durable.stored_names import is_of_app
from heliograph.outbox.payload.classes import loaded_class, may_travel, path_of
from heliograph.outbox.payload.errors import UnstorableError

# A value that JSON does not have is an object: its kind has the first name, its value the second.
KIND, VALUE = "$", "value"


def tagged(kind: str, value: Any) -> dict[str, Any]:
    """Return the JSON of a value of a kind."""
    return {KIND: kind, VALUE: value}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: `decode` takes what `encode` has returned."""

    name: str  # in the payload
    classes: tuple[type, ...]
    encode: Callable[[Any], Any]  # UnstorableError for a value that could not come back
    decode: Callable[[Any], Any]  # may raise any error for what `encode` has not returned
    is_text: bool = True  # False: the values within it are encoded after it, and decoded before it
    takes_subclasses: bool = False


def from_text(decode: Callable[[str], Any], text: Any) -> Any:
    """Return what a decoder makes of a text; TypeError for a value that is no text."""
    if type(text) is not str:
        raise TypeError(f"{text!r} is no text")
    return decode(text)


# --- times ------------------------------------------------------------------------------------------------------


def _datetime_of(text: str) -> datetime.datetime:
    found = parse_datetime(text)
    if found is None:
        raise ValueError(f"{text!r} is no date and time")
    return found


def _timedelta_of(text: str) -> datetime.timedelta:
    found = parse_duration(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    return found


# --- bytes and sets ---------------------------------------------------------------------------------------------


def _as_base64(value: Any) -> str:
    return base64.b64encode(value).decode()


def _members(value: Any) -> list[Any]:
    """Return the members of a set in an order that does not depend on the process, where they have one."""
    try:
        return sorted(value)
    except TypeError:
        return [*value]


# --- models, apps and other classes -----------------------------------------------------------------------------


def model_label(model: Any) -> str:
    """Return the label of a model; UnstorableError if other processes do not know the model by it."""
    label: str = model._meta.label
    if model._meta.abstract or not is_of_app(model):
        raise UnstorableError(f"no other process knows the model {label}, since it is not registered")
    return label


def _label_and_name(field: Any) -> list[str]:
    return [model_label(field.model), field.name]


def _model_field_of(label_and_name: Any) -> Any:
    label, name = label_and_name
    return apps.get_model(label)._meta.get_field(name)


def _path(kind: type) -> str:
    path = path_of(kind)
    if "<" in path:
        raise UnstorableError(f"no other process can import {path.replace(':', '.')}")
    return path


def _class_path(kind: type) -> str:
    if not may_travel(kind):
        raise UnstorableError(f"{path_of(kind).replace(':', '.')} is a class of Python's own: send its name")
    return _path(kind)


def _class_of(path: str) -> type:
    found = loaded_class(path)
    if not may_travel(found):
        raise LookupError(f"{path} is no class that a delivery refers to")
    return found


def _path_and_name(value: Enum) -> list[str]:
    if value.name not in type(value).__members__:  # several flags at once
        raise UnstorableError(f"{value!r} is no single member of its class")
    return [_path(type(value)), value.name]


def _enum_member_of(path_and_name: Any) -> Any:
    path, name = path_and_name
    found = loaded_class(path)
    if not issubclass(found, Enum):
        raise LookupError(f"{path} is no enum")
    return type.__getattribute__(found, "__members__")[name]


# --- the table --------------------------------------------------------------------------------------------------

# A dict has this kind only if it has the key "$". Its values are encoded before, and decoded before, too.
DICT = Kind("dict", (), lambda items: [*map(list, items.items())], lambda pairs: dict(pairs), is_text=False)

# A value has the first kind of which it is: a model is a class too, and a datetime is a date.
KINDS = (
    DICT,
    Kind("tuple", (tuple,), list, tuple, is_text=False),
    Kind("set", (set,), _members, set, is_text=False),
    Kind("frozenset", (frozenset,), _members, frozenset, is_text=False),
    Kind("change", (Change,), list, lambda values: Change(*values), is_text=False),
    Kind("unknown", (type(UNKNOWN),), lambda value: None, lambda nothing: UNKNOWN, is_text=False),
    Kind("no row", (type(NO_ROW),), lambda value: None, lambda nothing: NO_ROW, is_text=False),
    Kind("time", (datetime.time,), datetime.time.isoformat, datetime.time.fromisoformat),
    Kind("bytes", (bytes, memoryview), _as_base64, base64.b64decode),
    Kind("model", (ModelBase,), model_label, apps.get_model, takes_subclasses=True),
    Kind("model field", (Field,), _label_and_name, _model_field_of, is_text=False, takes_subclasses=True),
    Kind("app", (AppConfig,), lambda app: app.label, apps.get_app_config, takes_subclasses=True),
    Kind("class", (type,), _class_path, _class_of, takes_subclasses=True),
    Kind("enum", (Enum,), _path_and_name, _enum_member_of, is_text=False, takes_subclasses=True),
    Kind("datetime", (datetime.datetime,), datetime.datetime.isoformat, _datetime_of, takes_subclasses=True),
    Kind("date", (datetime.date,), datetime.date.isoformat, datetime.date.fromisoformat, takes_subclasses=True),
    Kind("timedelta", (datetime.timedelta,), duration_iso_string, _timedelta_of, takes_subclasses=True),
    Kind("decimal", (Decimal,), str, Decimal, takes_subclasses=True),
    Kind("uuid", (UUID,), str, UUID, takes_subclasses=True),
)
BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
