"""The part of JSON Schema (draft 7) that documents of signals use, to compare values with."""

from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}
_KNOWN = {
    *("type", "const", "enum", "anyOf", "items", "minItems", "maxItems", "uniqueItems", "properties", "required"),
    *("additionalProperties", "format", "contentEncoding", "description", "default"),
}


def is_valid(value: Any, schema: dict[str, Any]) -> bool:
    """Return whether a value of JSON is as a schema says; AssertionError for a word that is not known here."""
    assert schema.keys() <= _KNOWN, schema
    if "anyOf" in schema and not any(is_valid(value, one) for one in schema["anyOf"]):
        return False
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return False
    if "type" in schema and not _has_type(value, schema["type"]):
        return False
    if isinstance(value, dict):
        return _is_valid_object(value, schema)
    return _is_valid_array(value, schema) if isinstance(value, list) else True


def _has_type(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _is_valid_object(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    if not {*schema.get("required", ())} <= value.keys():
        return False
    unknown = [item for name, item in value.items() if name not in properties]
    if unknown and others is False:
        return False
    known = all(is_valid(item, properties[name]) for name, item in value.items() if name in properties)
    return known and all(is_valid(item, others) for item in unknown)


def _is_valid_array(value: list[Any], schema: dict[str, Any]) -> bool:
    items = schema.get("items", {})
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return False
    of_each = items if isinstance(items, list) else [items] * len(value)
    return all(is_valid(item, one) for item, one in zip(value, of_each, strict=True))
