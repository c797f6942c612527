"""Arithmetic: what one child contributes to a stored value, where Python computes it exactly as the database does."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import FieldDoesNotExist
from django.db.models import (
    AutoField,
    BooleanField,
    Count,
    DateField,
    DateTimeField,
    DecimalField,
    Expression,
    ExpressionWrapper,
    Field,
    IntegerField,
    Max,
    Min,
    Model,
    Q,
    Sum,
    UUIDField,
    Value,
)
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import CombinedExpression

from heliograph.recipes.kept.cutting import Cut, is_path
from heliograph.recipes.kept.extremes import coming

Row = Mapping[str, Any]  # the values of a child by the names of fields; a foreign key has the value of its column
Contribution = Callable[[Row], Any]  # a number, or what comes to a maximum or minimum
_Test = Callable[[Row], bool]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
# Texts are not among the types: MariaDB takes 'abc' for equal to 'Abc', and to 'Abc '.
_TYPES: tuple[tuple[type[Field[Any, Any]], type], ...] = (
    (BooleanField, bool),
    (IntegerField, int),
    (AutoField, int),
    (DateField, date),
    (DecimalField, Decimal),
    (UUIDField, UUID),
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "exact": operator.eq,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def contribution(cut: Cut, field: Any) -> Contribution | None:
    """Return the function that computes what a child adds to the stored value; None if only the database can say."""
    amount = _value_of_extreme(cut, field) if type(cut.aggregate) in (Max, Min) else _amount(cut, cut.aggregate)
    test = _selects_all if cut.condition is None else _test(cut.condition, cut.child)
    if amount is None or test is None:
        return None
    return lambda row: amount(row) if test(row) else 0


def _amount(cut: Cut, aggregate: Any) -> Contribution | None:
    if aggregate.distinct:
        return None
    if type(aggregate) is Count and is_path(cut.argument):
        return _counted(cut.argument.name)
    return _summed(cut.argument, cut.child) if type(aggregate) is Sum and _is_zero(cut.default) else None


def _value_of_extreme(cut: Cut, field: Any) -> Contribution | None:
    """Return the function that gives the value of a child, if the parent stores the same type, and no default."""
    if not is_path(cut.argument) or cut.argument.name == "pk" or cut.default is not None:
        return None
    name, kind = cut.argument.name, _type_in_order(_field(cut.argument.name, cut.child))
    return (lambda row: coming(row[name])) if kind is not None and kind is _type_in_order(field) else None


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not value


def _counted(name: str) -> Contribution:
    return (lambda row: 1) if name == "pk" else lambda row: 0 if row[name] is None else 1


def _selects_all(row: Row) -> bool:
    return True


# --- the sum ------------------------------------------------------------------------------------------------------


def _summed(argument: Any, child: type[Model]) -> Contribution | None:
    value = _value(argument, child)
    if value is None:
        return None

    def amount(row: Row) -> Any:
        found = value(row)
        return 0 if found is None else found

    return amount


def _value(node: Any, child: type[Model]) -> Contribution | None:
    """Return the function that computes an expression of integers and decimals, or None."""
    if is_path(node):
        return _value_of_field(node.name, child)
    if isinstance(node, Value):
        constant = node.value
        return (lambda row: constant) if type(constant) in (int, Decimal) else None
    if isinstance(node, ExpressionWrapper):
        return _value(node.get_source_expressions()[0], child)
    if isinstance(node, CombinedExpression) and node.connector in _OPERATORS:
        return _combined(node, child)
    return None


def _value_of_field(name: str, child: type[Model]) -> Contribution | None:
    kind = type_of(name, child)
    return (lambda row: row[name]) if kind in (int, Decimal) else None


def _combined(node: CombinedExpression, child: type[Model]) -> Contribution | None:
    left, right = (_value(one, child) for one in node.get_source_expressions())
    if left is None or right is None:
        return None
    combine = _OPERATORS[node.connector]

    def combined(row: Row) -> Any:
        first, second = left(row), right(row)
        return None if first is None or second is None else combine(first, second)

    return combined


def decimals_of(node: Any, child: type[Model]) -> int | None:
    """Return how many decimal places the values of an expression may have; None if that is not known."""
    if is_path(node):
        field = _field(node.name, child)
        if isinstance(field, DecimalField):
            return field.decimal_places
        return 0 if type_of(node.name, child) is int else None
    if isinstance(node, Value):
        return _decimals_of_constant(node.value)
    if isinstance(node, ExpressionWrapper):
        return decimals_of(node.get_source_expressions()[0], child)
    if isinstance(node, CombinedExpression) and node.connector in _OPERATORS:
        left, right = (decimals_of(one, child) for one in node.get_source_expressions())
        if left is None or right is None:
            return None
        return left + right if node.connector == "*" else max(left, right)
    return None


def _decimals_of_constant(value: Any) -> int | None:
    if isinstance(value, Decimal) and value.is_finite():
        return max(-int(value.as_tuple().exponent), 0)
    return 0 if isinstance(value, int) else None


# --- the condition ------------------------------------------------------------------------------------------------


def _test(node: Q, child: type[Model]) -> _Test | None:
    """Return the function that tests a condition, or None.

    A comparison with NULL does not hold. Django's SQL for a negation of such a comparison depends on whether the
    column may be NULL, so that is left to the database.
    """
    tests = [_part(one, child) for one in node.children]
    if any(one is None for one in tests) or node.connector not in (Q.AND, Q.OR):
        return None
    every: list[Any] = tests
    combine = all if node.connector == Q.AND else any
    if node.negated:
        return None if _may_be_null(node, child) else lambda row: not combine(test(row) for test in every)
    return lambda row: combine(test(row) for test in every)


def _part(part: Any, child: type[Model]) -> _Test | None:
    if not isinstance(part, tuple):
        return _test(part, child)
    path, value = part
    name, _, lookup = path.partition(LOOKUP_SEP)
    kind = type_of(name, child)
    if kind is None:
        return None
    if lookup == "isnull":
        return (lambda row: (row[name] is None) is value) if isinstance(value, bool) else None
    return _comparison(name, lookup or "exact", value, child)


def _comparison(name: str, lookup: str, value: Any, child: type[Model]) -> _Test | None:
    if lookup == "in":
        values = [_constant(name, one, child) for one in value] if isinstance(value, list) else [None]
        return None if None in values else lambda row: row[name] is not None and row[name] in values
    constant, compare = _constant(name, value, child), _COMPARISONS.get(lookup)
    if constant is None or compare is None:
        return None
    return lambda row: row[name] is not None and compare(row[name], constant)


def _constant(name: str, value: Any, child: type[Model]) -> Any:
    """Return a value as the column would store it, or None if Python cannot compare with it exactly."""
    field = _field(name, child)
    if isinstance(value, Model) and field.is_relation:
        value = getattr(value, field.target_field.attname)
    if isinstance(value, Expression) or type(value) is not type_of(name, child):
        return None
    if isinstance(value, Decimal):
        decimals = _decimals_of_constant(value)
        return value if decimals is not None and decimals <= field.decimal_places else None
    return value


def _may_be_null(node: Any, child: type[Model]) -> bool:
    parts = [one for one in node.children if isinstance(one, tuple)]
    nested = [one for one in node.children if not isinstance(one, tuple)]
    names = [path.partition(LOOKUP_SEP)[0] for path, _ in parts]
    return any(_field(name, child).null for name in names) or any(_may_be_null(one, child) for one in nested)


# --- fields -------------------------------------------------------------------------------------------------------


def _field(name: str, child: type[Model]) -> Any:
    return child._meta.pk if name == "pk" else child._meta.get_field(name)


def type_of(name: str, child: type[Model]) -> type | None:
    """Return the type of a field's values, if Python compares and adds them as the database does."""
    try:
        field = _field(name, child)
    except FieldDoesNotExist:
        return None
    while field.is_relation:
        field = field.target_field
    return None if isinstance(field, DateTimeField) or name == "pk" else _type(field)


def _type(field: Any) -> type | None:
    found = (kind for field_type, kind in _TYPES if isinstance(field, field_type))
    # A class of somebody else may store and compare in another way.
    return next(found, None) if type(field).__module__.startswith("django.db.models.") else None


def _type_in_order(field: Any) -> type | None:
    """Return the type of a field's values, if Python orders them as every database does."""
    kind = datetime if type(field) is DateTimeField else _type(field)
    return kind if kind in (int, Decimal, date, datetime) else None
