"""Values of fields: whether two are the same in the database, and in which form a value is remembered."""

from __future__ import annotations

import copy
import datetime
import json
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.db import connections
from django.db.models import (
    AutoField,
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    EmailField,
    FileField,
    FloatField,
    IntegerField,
    JSONField,
    PositiveIntegerField,
    SlugField,
    TextField,
    URLField,
    UUIDField,
)
from django.utils.functional import Promise
from django.utils.timezone import get_default_timezone, is_naive, make_aware

from heliograph.databases import GENERAL, database_of


class Mark(Enum):
    """A mark in place of a value, which prints as its name."""

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__


class Unknown(Mark):
    """The value of a field, in a `Change`, that cannot be known: it was never loaded, or an expression sets it."""

    UNKNOWN = "UNKNOWN"


#: The value of a field that nobody knows: it was never loaded, or an expression computed it in the database.
UNKNOWN: Final = Unknown.UNKNOWN


class NoRow(Mark):
    """The value of a field where there is no row: before the row was created, or after it was deleted.

    It is not None, which stands for NULL, and is equal only to itself.
    """

    NO_ROW = "NO_ROW"


#: The value of a field where there is no row: before the row was created, or after it was deleted. None would be NULL.
NO_ROW: Final = NoRow.NO_ROW

_IMMUTABLE = (str, int, float, complex, Decimal, datetime.date, datetime.time, datetime.timedelta, UUID, bytes, Enum)
# The usual types, which are known without a look at their base classes.
SCALARS = frozenset([*_IMMUTABLE, bool, datetime.datetime, type(None), Unknown, NoRow])


def may_mutate(field: Any) -> bool:
    """Return whether the values of a field may be changed in place; values of Django's scalar fields may not."""
    return isinstance(field, JSONField) or not type(field).__module__.startswith("django.db.models.fields")


def is_immutable(value: Any) -> bool:
    """Return whether a value cannot be changed in place."""
    return type(value) in SCALARS or isinstance(value, _IMMUTABLE)


def kept(value: Any) -> Any:
    """Return a value as it is remembered: the name of a file, UNKNOWN for an expression, a copy of a mutable value."""
    if type(value) in SCALARS:
        return value
    return shown(value) if isinstance(value, File | Promise) or is_expression(value) else copied(value)


def shown(value: Any) -> Any:
    """Return a value as a change shows it: the name of a file, and UNKNOWN for an expression."""
    if isinstance(value, File):
        return value.name
    if isinstance(value, Promise):  # a text that depends on the language
        return str(value)
    return UNKNOWN if is_expression(value) else value


def is_expression(value: Any) -> bool:
    """Return whether the database computes the value."""
    return hasattr(value, "resolve_expression")


def copied(value: Any) -> Any:
    """Return a copy of a value that may be changed in place; one that cannot be copied is kept as it is."""
    if is_immutable(value):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # a class of the user's may refuse in any way
        return value


def as_stored(field: Any, value: Any, using: str | None = None) -> Any:
    """Return a value as a database stores it, in the field's own type.

    `using` is the alias of the database, since databases round in different ways. Returns UNKNOWN for an expression,
    and without `using` for a decimal that a database would round.
    """
    if is_expression(value):
        return UNKNOWN
    if isinstance(field, DecimalField):
        return _as_decimal(field, value, using)
    return kept(value) if may_mutate(field) else prepared(field, value)


def _as_decimal(field: Any, value: Any, using: str | None) -> Any:
    value = prepared(field, value)
    if not isinstance(value, Decimal) or not value.is_finite() or field.decimal_places is None:
        return value
    if int(value.as_tuple().exponent) == -field.decimal_places:
        return value
    database = GENERAL if using is None else database_of(connections[using])
    stored = database.stored_decimal(value, field.decimal_places, field.max_digits)
    return UNKNOWN if stored is None else stored


def is_of_own_type(field: Any, value: Any) -> bool:
    """Return whether a value certainly has the type that the field gives when a row is read."""
    return _OWN_TYPES.get(type(field)) is type(value)


def is_own_type(field: Any, kind: type) -> bool:
    """Return whether the field certainly gives values of this type when a row is read."""
    return _OWN_TYPES.get(type(field)) is kind


def are_of_own_type(field: Any, old: Any, new: Any) -> bool:
    """Return whether two values certainly have the type that the field gives when a row is read."""
    return type(old) is type(new) is _OWN_TYPES.get(type(field))


def is_same(field: Any, old: Any, new: Any) -> bool:
    """Return whether two values of a field are the same in the database, as Decimal("1.0") and Decimal("1.00") are.

    A value that the field does not accept is not the same as any other. `NO_ROW` is the same only as itself.
    """
    if old is NO_ROW or new is NO_ROW:
        return old is new
    if type(old) is type(new) and (type(old) in _COMPARABLE or (type(old) is str and type(field) in _TEXTS)):
        return bool(old == new)
    try:
        if isinstance(field, JSONField):
            return _json(field, old) == _json(field, new)
        return is_equal(old, new) or is_equal(prepared(field, old), prepared(field, new))
    except Exception:  # whatever a field raises for a value that it does not take; saving it will raise that too
        return False


# Types of values that are one to the database only if they are equal, and fields of which texts are.
_COMPARABLE = frozenset([int, bool, float, Decimal, UUID, datetime.date])
_TEXTS = frozenset([CharField, TextField, SlugField, EmailField, URLField])
_OWN_TYPES: dict[type, type] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys([AutoField, BigAutoField, IntegerField, BigIntegerField, PositiveIntegerField], int),
    BooleanField: bool,
    FloatField: float,
    DateField: datetime.date,
    UUIDField: UUID,
}


def is_equal(old: Any, new: Any) -> bool:
    """Return whether two values are equal in Python."""
    try:
        return bool(old == new)
    except ValueError:  # arrays compare to an array
        return False


def prepared(field: Any, value: Any) -> Any:
    """Return a value as it is stored, as far as it is known without a database."""
    if isinstance(field, FileField):
        return str(value or "")
    if isinstance(value, Enum):  # a member of TextChoices, say
        value = value.value
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(field, DateTimeField):
        return _as_datetime(field, value)
    return field.get_prep_value(value)


def _as_datetime(field: Any, value: Any) -> Any:
    """Return a date and time as a save stores it, without Django's warning about a missing time zone."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        value = field.to_python(value)
    if isinstance(value, datetime.datetime) and _lacks_zone(value):
        return make_aware(value, get_default_timezone())
    return field.get_prep_value(value)


def _json(field: Any, value: Any) -> str:
    """Return JSON as it is stored, whatever the order of its keys; 1 and True are equal in Python, and not there."""
    stored = json.loads(json.dumps(field.get_prep_value(value), cls=field.encoder))
    return json.dumps(stored, sort_keys=True)


def _lacks_zone(value: datetime.datetime) -> bool:
    return settings.USE_TZ and is_naive(value)
