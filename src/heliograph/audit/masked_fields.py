"""Whether the values of a field are masked today: by its declaration, or by a name that looks like a secret."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist

from heliograph.audit.audited_models import AUDITED
from heliograph.outbox.payload.secrecy import is_secret, is_sensitive


def is_masked(model: Any, name: str) -> bool:
    """Return whether a field is masked today; an older entry may have its values all the same."""
    audited, field = AUDITED.get(model), field_named(model, name)
    is_named = audited is not None and name in audited.masked
    return is_named or (is_sensitive(name) if field is None or field.many_to_many else is_secret(field))


def field_named(model: Any, name: str) -> Any:
    """Return the field of a model; None if the model, or its field, is gone from the project."""
    try:
        return None if model is None else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
