"""Decoding: stored JSON becomes values again, and reaches nothing beyond values, loaded classes and models of apps.

A row of the table may have been written by a newer release, or by somebody who should not: nothing is imported, no
attribute of an object is looked up, and only fields of models that the receiver's signal is about make values of texts.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.apps import apps
from django.db import connections
from django.utils.dateparse import parse_datetime, parse_duration

from heliograph.changes.comparing import Change
from heliograph.changes.presenting import assembled
from heliograph.changes.values import NO_ROW, UNKNOWN
from heliograph.outbox.payload.classes import loaded_class, may_travel
from heliograph.outbox.payload.value_encoding import KIND, VALUE

T = TypeVar("T")


class UnreadableError(ValueError):
    """This release cannot read what is stored: a newer one has written it, a name in it is gone, or it is damaged."""


class Reference(NamedTuple):
    """A stored instance: its model, its primary key and its database."""

    model: Any
    key: Any
    using: str  # the alias of the database


Load = Callable[[Reference], Any]


def read(what: str, function: Callable[..., T], *arguments: Any) -> T:
    """Return what a function makes of something stored; whatever it raises means that this cannot be read."""
    try:
        return function(*arguments)
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"{what} cannot be read: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Decoder:
    """Makes values of JSON, with ways to load the instances and batches that these refer to.

    Raises UnreadableError for what cannot be read, and what `load` and `batch` raise.
    """

    load: Load
    batch: Callable[[Any], Any]
    is_about: Callable[[Any], bool]  # whether the receiver's signal is about a model

    def __call__(self, value: Any) -> Any:
        """Return what a value was before it was encoded."""
        if isinstance(value, list):
            return [*map(self, value)]
        if not isinstance(value, dict):
            return value
        if KIND not in value:
            return {key: self(item) for key, item in value.items()}
        return self._of_kind(value[KIND], value.get(VALUE))

    def _of_kind(self, kind: Any, inner: Any) -> Any:
        shown = f"A value of the kind {kind!r}"
        match kind:
            case "row":
                return self.load(read(shown, reference_of, inner))
            case "batch":
                return self.batch(inner)
            case str() if kind in _OF_TEXT:
                return read(shown, _of_text, _OF_TEXT[kind], inner)
            case str() if kind in _OF_LIST:
                return read(shown, _OF_LIST[kind], self(inner))
            case str() if kind in _OF_MODEL:
                return self._of_model(shown, _OF_MODEL[kind], self(inner))
            case _:
                raise UnreadableError(f"{shown} is unknown to this version of Heliograph.")

    def _of_model(self, shown: str, make: Callable[..., Any], inner: Any) -> Any:
        """Return a value that belongs to a model; UnreadableError if the receiver's signal is not about that."""
        verified([inner], list)
        model = read(shown, apps.get_model, *inner[:1])
        if not self.is_about(model):
            raise UnreadableError(f"{shown} is of the model {inner[0]}, which the receiver's signal is not about.")
        return read(shown, make, model, *inner[1:])


def is_row(value: Any) -> bool:
    """Return whether an encoded value refers to the instance of a row."""
    return isinstance(value, dict) and value.get(KIND) == "row"


def reference_of(inner: Any) -> Reference:
    """Return what the value of a "row" refers to."""
    label, parts, using = inner
    model = apps.get_model(label)
    if using and using not in connections.settings:
        raise UnreadableError(f"There is no database {using!r}.")
    return Reference(model, key_of(model, parts), using)


def key_of(model: Any, parts: Any) -> Any:
    """Return the primary key of a model whose parts were encoded."""
    fields, key = model._meta.pk_fields, [_of_key(part) for part in parts]
    for field, part in zip(fields, key, strict=True):
        field.get_prep_value(part)  # which refuses what is no value of the field
    return key[0] if len(key) == 1 else tuple(key)


def _refuse(value: Any) -> Any:
    raise UnreadableError(f"{value} is no part of a primary key.")


_of_key = Decoder(_refuse, _refuse, lambda model: False)


# --- the kinds of values ----------------------------------------------------------------------------------------


def _of_text(make: Callable[[str], Any], text: Any) -> Any:
    if type(text) is not str:
        raise TypeError(f"{text!r} is no text")
    return make(text)


def _duration(text: str) -> datetime.timedelta:
    duration = parse_duration(text)
    if duration is None:
        raise ValueError(f"{text!r} is no duration")
    return duration


def _datetime(text: str) -> datetime.datetime:
    moment = parse_datetime(text)
    if moment is None:
        raise ValueError(f"{text!r} is no date and time")
    return moment


def _class(path: str) -> type:
    found = loaded_class(path)
    if not may_travel(found):
        raise LookupError(f"{path} is no class that a delivery refers to")
    return found


def _enum_member(path_and_name: Any) -> Any:
    path, name = path_and_name
    found = loaded_class(path)
    if not issubclass(found, Enum):
        raise LookupError(f"{path} is no enum")
    return type.__getattribute__(found, "__members__")[name]


def _model_field(label_and_name: Any) -> Any:
    label, name = label_and_name
    return apps.get_model(label)._meta.get_field(name)


_OF_TEXT: dict[str, Callable[[str], Any]] = {
    "datetime": _datetime,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": _duration,
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": base64.b64decode,
    "model": apps.get_model,
    "app": apps.get_app_config,
    "class": _class,
}
_OF_LIST: dict[str, Callable[[Any], Any]] = {
    "unknown": lambda nothing: UNKNOWN,
    "no row": lambda nothing: NO_ROW,
    "dict": lambda items: dict(items),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "change": lambda values: Change(*values),
    "enum": _enum_member,
    "model field": _model_field,
}

# --- the values of a model's fields -----------------------------------------------------------------------------


def gone(model: Any, using: str, values: Mapping[str, Any]) -> Any:
    """Return an instance of a row that is gone; a field that was not stored is not loaded, and one more is ignored."""
    names = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    return model.from_db(using, names, [values[name] for name in names])


def _of_field(model: Any, name: str, text: Any) -> Any:
    return _of_text(_concrete_field(model, name).to_python, text)


def _of_columns(model: Any, name: str, columns: Mapping[str, Any]) -> Any:
    return assembled(model, _concrete_field(model, name).name, columns)


def _concrete_field(model: Any, name: str) -> Any:
    return {field.name: field for field in model._meta.concrete_fields}[name]


_OF_MODEL: dict[str, Callable[..., Any]] = {"gone": gone, "field": _of_field, "columns": _of_columns}


def verified(values: Sequence[Any], *kinds: type | UnionType) -> None:
    """Raise UnreadableError unless each of these values is of its kind."""
    for value, kind in zip(values, kinds, strict=True):
        if not isinstance(value, kind):
            raise UnreadableError(f"{value!r} is no {getattr(kind, '__name__', kind)}.")
