"""Values become JSON, and `value_decoding` makes the same values of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from django.core.files import File
from django.db import router
from django.db.models import Model
from django.utils.functional import Promise

from heliograph.changes.current import without_wrapper
from heliograph.changes.values import is_expression
from heliograph.dispatch.reentrancy import key_of
from heliograph.outbox.payload.errors import UnsavedError, UnstorableError
from heliograph.outbox.payload.kinds import DICT, KIND, KINDS, VALUE, Kind, model_label, tagged

# The classes whose values are the same in JSON.
PLAIN = frozenset((str, int, bool, type(None)))


def encoded(value: Any) -> Any:
    """Return the JSON of a value; UnstorableError if the same value could not be made of it."""
    if type(value) in PLAIN:
        return value
    encode = _ENCODERS.get(type(value)) or _encoder_of(value)
    return encode(value)


def encoded_as(name: str, value: Any) -> Any:
    """Return the JSON of the value of a name; its error has that name."""
    try:
        return encoded(value)
    except UnstorableError as error:
        raise type(error)(f"{name!r}: {error}") from None
    except RecursionError:
        raise UnstorableError(f"{name!r}: it has itself in it, or too much within one another") from None


def _encoder_of(value: Any) -> Callable[[Any], Any]:
    if is_expression(value) and not isinstance(value, type):
        return _unstorable
    return next((encode for cls, encode in _OF_SUBCLASSES if isinstance(value, cls)), _unstorable)


def _unstorable(value: Any) -> Any:
    raise UnstorableError(f"there is no way to store {value!r}")


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise UnstorableError(f"{value!r} is no number of JSON")
    return value


def _list(value: Any) -> list[Any]:
    return [_inside(at, item) for at, item in enumerate(value)]


def _dict(value: Mapping[Any, Any]) -> dict[str, Any]:
    for key in value:
        if type(key) is not str:
            raise UnstorableError(f"its key {key!r} is not a text")
    items = {key: _inside(key, item) for key, item in value.items()}
    return items if KIND not in value else tagged(DICT.name, DICT.encode(items))


def _inside(where: Any, item: Any) -> Any:
    try:
        return encoded(item)
    except UnstorableError as error:
        raise type(error)(f"[{where!r}] {error}") from None


# --- rows -------------------------------------------------------------------------------------------------------


def _instance(instance: Any) -> dict[str, Any]:
    instance = without_wrapper(instance)
    return row(type(instance), key_of(instance), router.db_for_write(type(instance), instance=instance))


def row(model: Any, key: Any, using: str, label: str | None = None) -> dict[str, Any]:
    """Return the JSON of a reference to a row, which `value_decoding.reference_of` reads.

    `label` is the label of the model, if it is known.
    """
    if key is None:
        raise UnsavedError(f"{model.__name__} has no primary key yet: save it first")
    parts = _list(key) if isinstance(key, tuple) else [key if type(key) in PLAIN else encoded(key)]
    return {KIND: "row", VALUE: [label or model_label(model), parts, using]}


# --- who encodes what -------------------------------------------------------------------------------------------


def _encoder(kind: Kind) -> Callable[[Any], Any]:
    if kind.is_text:
        return lambda value: {KIND: kind.name, VALUE: kind.encode(value)}
    return lambda value: {KIND: kind.name, VALUE: encoded(kind.encode(value))}


_BY_KIND = [(cls, kind, _encoder(kind)) for kind in KINDS for cls in kind.classes]

# For values of exactly these classes.
_ENCODERS: dict[type, Callable[[Any], Any]] = {
    float: _float,
    list: _list,
    dict: _dict,
    **{cls: encode for cls, _, encode in _BY_KIND},
}

# For values of subclasses, the first one that fits.
_OF_SUBCLASSES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Model, _instance),
    *((cls, encode) for cls, kind, encode in _BY_KIND if kind.takes_subclasses),
    (Promise, lambda value: encoded(str(value))),
    (File, lambda value: encoded(value.name)),
    (str, lambda value: encoded(str.__str__(value))),
    (Mapping, _dict),
)
