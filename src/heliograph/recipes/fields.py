"""Fields: how a recipe finds the field that a declaration names, or refuses it with what was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from django.db.models import Field, Model


def field_named(text: str, model: type[Model], name: str, *kinds: type[Field[Any, Any]]) -> Any:
    """Return the field of a model with this name, of one of these classes if any are given.

    `text` is the declaration. Raises TypeError, with what to do, if there is no such field.
    """
    columns = {field.name: field for field in model._meta.concrete_fields}
    fitting = [one for one, field in columns.items() if not kinds or isinstance(field, kinds)]
    wanted = " or ".join(kind.__name__ for kind in kinds) or "field with a column"
    if name in fitting:
        return columns[name]
    if name in columns:
        kind = type(columns[name]).__name__
        problem = f"{model._meta.label}.{name} is a {kind}, and no {wanted}."
    else:
        problem = f"{model._meta.label} has no field {name!r} with a column."
    raise TypeError(f"{text}: {problem} {_hint(name, fitting, wanted)}")


def _hint(name: str, fitting: list[str], wanted: str) -> str:
    """Return which field was probably meant, or which there are."""
    close = get_close_matches(name, fitting, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"It has {', '.join(sorted(fitting))}." if fitting else f"Add a {wanted} to the model."


def plain_field(text: str, model: type[Model], name: str) -> Any:
    """Return the field of a model with this name, if it is a column of the model's own that holds a plain value.

    `text` is the declaration. Raises TypeError, with what to do, for a key, and for what the database computes.
    """
    field = field_named(text, model, name)
    if field.model is not model:
        label = field.model._meta.label
        raise TypeError(f"{text}: {name!r} is a column of {label}, which others may write. Declare it for {label!r}.")
    if field.primary_key or field in model._meta.pk_fields:
        raise TypeError(f"{text}: {name!r} is a primary key, and a row with another key is another row. Name a field.")
    if field.is_relation:
        raise TypeError(f"{text}: {name!r} is a key of {field.related_model._meta.label}. Name a field of that model.")
    if field.generated:
        raise TypeError(f"{text}: {name!r} is computed by the database. Name a field of its expression.")
    return field
