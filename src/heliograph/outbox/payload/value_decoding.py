"""Stored JSON becomes values again, and reaches nothing beyond values, loaded classes and models of apps.

A row of the table may have been written by a newer release, or by somebody who should not: nothing is imported, no
attribute of an object is looked up, and only fields of models that the receiver's signal is about make values of texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, NamedTuple, TypeVar

from django.apps import apps
from django.db import connections

from heliograph.outbox.payload import field_values
from heliograph.outbox.payload.errors import UnreadableError
from heliograph.outbox.payload.kinds import BY_NAME, KIND, VALUE, Kind, from_text

T = TypeVar("T")


class Reference(NamedTuple):
    """A stored instance: its model, its primary key and its database."""

    model: Any
    key: Any
    using: str  # the alias of the database


Load = Callable[[Reference], Any]


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

    def _of_kind(self, name: Any, inner: Any) -> Any:
        shown = f"A value of the kind {name!r}"
        match name:
            case "row":
                return self.load(read(shown, reference_of, inner))
            case "batch":
                return self.batch(inner)
            case str() if name in BY_NAME:
                return self._of_value(shown, BY_NAME[name], inner)
            case str() if name in field_values.DECODERS:
                return self._of_model(shown, field_values.DECODERS[name], self(inner))
            case _:
                raise UnreadableError(f"{shown} is unknown to this version of Heliograph.")

    def _of_value(self, shown: str, kind: Kind, inner: Any) -> Any:
        if kind.is_text:
            return read(shown, from_text, kind.decode, inner)
        return read(shown, kind.decode, self(inner))

    def _of_model(self, shown: str, decode: Callable[..., Any], inner: Any) -> Any:
        """Return a value that belongs to a model; UnreadableError if the receiver's signal is not about that."""
        verified([inner], list)
        model = read(shown, apps.get_model, *inner[:1])
        if not self.is_about(model):
            raise UnreadableError(f"{shown} is of the model {inner[0]}, which the receiver's signal is not about.")
        return read(shown, decode, model, *inner[1:])


# --- rows -------------------------------------------------------------------------------------------------------


def is_row(value: Any) -> bool:
    """Return whether an encoded value refers to the instance of a row."""
    return isinstance(value, dict) and value.get(KIND) == "row"


def reference_of(inner: Any) -> Reference:
    """Return the reference that `value_encoding.row` has written."""
    label, parts, using = inner
    model = apps.get_model(label)
    if using and using not in connections.settings:
        raise UnreadableError(f"There is no database {using!r}.")
    return Reference(model, key_of(model, parts), using)


def key_of(model: Any, parts: Any) -> Any:
    """Return the primary key of a model whose parts were encoded."""
    fields, key = model._meta.pk_fields, [_of_key(part) for part in parts]
    for field, part in zip(fields, key, strict=True):
        field.get_prep_value(part)  # raises an error for what is no value of the field
    return key[0] if len(key) == 1 else tuple(key)


def _refuse(value: Any) -> Any:
    raise UnreadableError(f"{value} is no part of a primary key.")


_of_key = Decoder(_refuse, _refuse, lambda model: False)


# --- what cannot be read ----------------------------------------------------------------------------------------


def read(what: str, function: Callable[..., T], *arguments: Any) -> T:
    """Return what a function makes of stored JSON; any error of it becomes an UnreadableError."""
    try:
        return function(*arguments)
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"{what} cannot be read: {type(error).__name__}: {error}") from error


def verified(values: Sequence[Any], *kinds: type | UnionType) -> None:
    """Raise UnreadableError unless each of these values is of its kind."""
    for value, kind in zip(values, kinds, strict=True):
        if not isinstance(value, kind):
            raise UnreadableError(f"{value!r} is no {getattr(kind, '__name__', kind)}.")
