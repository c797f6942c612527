"""The values of the fields of a row, which only their model can read: each encoder with its decoder.

A secret is stored as unknown, and so is a value that the database computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from heliograph.changes.comparing import by_name
from heliograph.changes.presenting import assembled, columns_of
from heliograph.changes.values import UNKNOWN, is_expression
from heliograph.outbox.payload.errors import UnstorableError
from heliograph.outbox.payload.kinds import from_text, model_label, tagged
from heliograph.outbox.payload.secrecy import is_secret
from heliograph.outbox.payload.value_encoding import encoded

_UNKNOWN = encoded(UNKNOWN)


def encoded_field(field: Any, value: Any) -> Any:
    """Return the JSON of the value of a field."""
    if is_secret(field) or is_expression(value):
        return _UNKNOWN
    try:
        return encoded(value)
    except UnstorableError as error:
        return _as_columns(field, value) or _as_text(field, value, error)


def encoded_changes(model: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of changes, by the names of the fields."""
    fields = {field.name: field for field in model._meta.concrete_fields}
    return {
        name: tagged("change", [encoded_field(fields[name], value) for value in change])
        for name, change in changes.items()
    }


def changes_of_model(model: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored changes, in which a foreign key is found by both of its names; unknown names are ignored."""
    fields = [field for field in model._meta.concrete_fields if field.name in changes]
    return by_name(fields, [changes[field.name] for field in fields])


def encoded_values(model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of the values that an update() sets, by the names that it was given."""
    fields = {name: field for field in model._meta.concrete_fields for name in (field.name, field.attname)}
    return {name: encoded_field(fields.get(name, model._meta.pk), value) for name, value in values.items()}


# --- an instance whose row is gone: its fields ------------------------------------------------------------------


def encoded_gone(instance: Any, using: str) -> dict[str, Any]:
    """Return the JSON of an instance whose row is gone: its fields, without secrets."""
    return tagged("gone", [model_label(instance.__class__), using, encoded_fields(instance)])


def gone(model: Any, using: str, values: Mapping[str, Any]) -> Any:
    """Return an instance of a row that is gone, without the fields that were not stored; unknown names are ignored."""
    names = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    return model.from_db(using, names, [values[name] for name in names])


def encoded_fields(instance: Any) -> dict[str, Any]:
    """Return the JSON of the loaded fields of an instance."""
    found = ((field, instance.__dict__[field.attname]) for field in _loaded_fields(instance))
    stored = {field.attname: encoded_field(field, value) for field, value in found}
    return {name: value for name, value in stored.items() if value != _UNKNOWN}


def _loaded_fields(instance: Any) -> Iterator[Any]:
    return (field for field in instance._meta.concrete_fields if field.attname in instance.__dict__)


# --- a value that a field combines from several columns, such as a price ----------------------------------------


def _as_columns(field: Any, value: Any) -> Any:
    """Return the columns of such a value; None for other values."""
    try:
        columns = columns_of(field.model, field, value)
        encoded_columns = {name: encoded(one) for name, one in (columns or {}).items()}
    except Exception:  # a descriptor may raise any error
        return None
    return tagged("columns", [field.model._meta.label, field.name, encoded_columns]) if columns else None


def _of_columns(model: Any, name: str, columns: Mapping[str, Any]) -> Any:
    return assembled(model, _concrete_field(model, name).name, columns)


# --- a value that only the field knows: its text, as in a fixture -----------------------------------------------


def _as_text(field: Any, value: Any, error: UnstorableError) -> Any:
    try:
        text = field.value_to_string(SimpleNamespace(**{field.attname: value}))
        field.to_python(text)
        if type(text) is not str:
            raise error
    except Exception:  # a field may raise any error: its value cannot be stored then
        raise UnstorableError(f"the field {field.model._meta.label}.{field.name}: {error}") from None
    return tagged("field", [field.model._meta.label, field.name, text])


def _of_text(model: Any, name: str, text: Any) -> Any:
    return from_text(_concrete_field(model, name).to_python, text)


def _concrete_field(model: Any, name: str) -> Any:
    return {field.name: field for field in model._meta.concrete_fields}[name]


# --- the kinds of these values ----------------------------------------------------------------------------------

# The decoders take the model, and what else is stored.
DECODERS: Mapping[str, Callable[..., Any]] = {"gone": gone, "columns": _of_columns, "field": _of_text}
