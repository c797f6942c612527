"""Presenting: the value of a field as its descriptor gives it, for fields of packages that have their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from django.db.models.base import ModelState
from django.db.models.expressions import Col
from django.db.models.sql import Query

from heliograph.changes.values import NO_ROW, UNKNOWN, is_equal, is_same


def presented(model: Any, field: Any, row: Mapping[Any, Any]) -> Any:
    """Return the attribute that a field would have in an instance with the values of `row`, which are by field.

    A money field, for example, makes one object of an amount and a currency. If the attribute gives the value of
    another column, such as a text in the active language, the result is the value in `row`; if it raises, UNKNOWN.
    """
    value = row[field]
    if value is UNKNOWN or value is NO_ROW or not has_own_descriptor(model, field):
        return value
    try:
        given = getattr(instance_with(model, row), field.attname)
        return given if is_same(field, given, value) else value
    except Exception:  # a descriptor may raise any error, for example if some values are not known
        return UNKNOWN


def instance_with(model: Any, row: Mapping[Any, Any]) -> Any:
    """Return an instance with these values, without a call of `__init__`: no signal is sent, and no query is made."""
    instance = object.__new__(model)
    instance.__dict__.update(_state=ModelState(), refresh_from_db=_refused)
    known = {field: value for field, value in row.items() if value is not UNKNOWN}
    own = [field for field in known if has_own_descriptor(model, field)]
    instance.__dict__.update({field.attname: value for field, value in known.items() if field not in own})
    for field in own:
        setattr(instance, field.attname, known[field])
    return instance


def columns_of(model: Any, field: Any, value: Any) -> dict[str, Any] | None:
    """Return the columns that are set when a value is assigned to a field.

    None if `assembled` could not make the value again from them, and for a field without a descriptor of its own.
    """
    if not has_own_descriptor(model, field):
        return None
    values = instance_with(model, {field: value}).__dict__
    columns = {one.attname: values[one.attname] for one in model._meta.concrete_fields if one.attname in values}
    made, again = (assembled(model, field.name, columns) for _ in range(2))
    is_made = is_equal(made, value) or not is_equal(made, again)  # some classes have no __eq__
    return columns if is_made and type(made) is type(value) else None


def assembled(model: Any, name: str, columns: Mapping[str, Any]) -> Any:
    """Return the attribute of a field in an instance with these columns."""
    row = {one: columns[one.attname] for one in model._meta.concrete_fields if one.attname in columns}
    return getattr(instance_with(model, row), name)


def _refused(*args: Any, **kwargs: Any) -> NoReturn:
    raise LookupError("This instance has no row to read.")


def has_own_descriptor(model: Any, field: Any) -> bool:
    """Return whether a field has a descriptor of a package, which may give another value than `__dict__` has."""
    for base in model.__mro__:
        if field.attname in vars(base):
            attribute = vars(base)[field.attname]
            return hasattr(type(attribute), "__set__") and not _is_of_django(_inner(attribute))
    return False


def sources_of(field: Any) -> set[Any]:
    """Return the fields in the expression of a generated field."""
    expression = field.expression.resolve_expression(Query(field.model, alias_cols=False), allow_joins=False)
    return {column.target for column in _columns(expression)}


def _columns(expression: Any) -> Iterator[Any]:
    if isinstance(expression, Col):
        yield expression
    for part in expression.get_source_expressions():
        if part is not None:
            yield from _columns(part)


def _inner(attribute: Any) -> Any:
    """Return the descriptor that Heliograph's own descriptor wraps."""
    return getattr(attribute, "heliograph_inner", attribute)


def _is_of_django(attribute: Any) -> bool:
    return type(attribute).__module__.startswith("django.db.models.")
