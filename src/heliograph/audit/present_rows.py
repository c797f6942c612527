"""The rows of an audited model as they are now, as JSON like that of entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from json import loads
from typing import Any

from heliograph.audit.audited_models import Audited
from heliograph.audit.change_texts import key_text
from heliograph.outbox.payload.field_values import encoded_field
from heliograph.outbox.payload.value_decoding import key_of
from heliograph.outbox.payload.value_encoding import PLAIN


def present_rows(audited: Audited, using: str, keys: Iterable[str]) -> Mapping[str, dict[str, Any]]:
    """Return the values of rows by their keys, as texts; rows that are gone, and masked fields, are left out."""
    fields = {name: field for name, field in audited.fields.items() if name not in audited.masked}
    names = [field.attname for field in fields.values()]
    found = audited.model._base_manager.using(using).filter(pk__in=[key_from(audited.model, key) for key in keys])
    return {
        key_text(key): {name: _json(fields[name], value) for name, value in zip(fields, values, strict=True)}
        for key, *values in found.values_list("pk", *names)
    }


def key_from(model: Any, text: str) -> Any:
    """Return the primary key of a row that an entry names by a text."""
    if len(model._meta.pk_fields) > 1:
        return key_of(model, loads(text))
    return model._meta.pk.to_python(text)


def _json(field: Any, value: Any) -> Any:
    return value if type(value) in PLAIN else encoded_field(field, value)
