"""Verdicts: what is wrong with the field of a parent that is to be kept, and what deserves a warning."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import (
    Avg,
    Count,
    DecimalField,
    Field,
    FloatField,
    IntegerField,
    Max,
    Min,
    StdDev,
    Sum,
    Variance,
)
from django.db.models.fields import PositiveIntegerRelDbTypeMixin

from heliograph.recipes.kept.all_fields import kept_fields, line_of
from heliograph.recipes.kept.arithmetic import decimals_of
from heliograph.recipes.kept.kept_fields import KeptField


def verify(kept: KeptField) -> None:
    """Raise TypeError, with what to do, if a field cannot keep its aggregate."""
    _field_of(kept)
    problem = next(_problems(kept), None)
    if problem is not None:
        raise TypeError(f"{kept!r} cannot be kept right. {problem}")


def _field_of(kept: KeptField) -> Any:
    model = kept.parent
    try:
        return model._meta.get_field(kept.name)
    except FieldDoesNotExist:
        names = [one.name for one in model._meta.concrete_fields]
        close = get_close_matches(kept.name, names, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Add it to the model: {kept.name} = {_suggested(kept)}."
        raise TypeError(f"{kept!r}: {model._meta.label} has no field {kept.name!r}. {hint}") from None


def _suggested(kept: KeptField) -> str:
    if isinstance(kept.declared, Count):
        return "models.IntegerField(default=0)"
    if isinstance(kept.declared, Sum) and kept.empty is not None:
        return f"models.DecimalField(max_digits=12, decimal_places=2, default={kept.empty})"
    return "models.FloatField(null=True)"


def _problems(kept: KeptField) -> Iterator[str]:
    field: Any = kept.field
    label = kept.label
    if not isinstance(field, Field) or not field.concrete or field.is_relation or field.primary_key or field.generated:
        yield f"{label} is no plain column. Keep it in a field such as {_suggested(kept)}."
        return
    if field.model._meta.concrete_model is not kept.parent:
        yield f"{label} is a column of {field.model._meta.label}. Declare it for that model."
    before = line_of(kept.parent, kept.name)
    if before is not None:
        yield f"{label} is kept already, as declared at {before}. Remove one of the two declarations."
    yield from _problems_of_null(kept, label)
    yield from _problems_of_type(kept, label)
    yield from _problems_of_deletion(kept)
    yield from _problems_of_chain(kept)


def _problems_of_null(kept: KeptField, label: str) -> Iterator[str]:
    if isinstance(kept.declared, Count) and kept.field.null:
        yield f"{label} may be NULL, and a count never is. Give it default=0 and not null=True."
    if kept.empty is None and not kept.field.null:
        kind = type(kept.declared).__name__
        yield (
            f"{kind} of no children is NULL, and {label} cannot be NULL. Give it null=True, or say {kind}(...,"
            " default=0)."
        )


_NUMBERS = (IntegerField, FloatField, DecimalField)


def _problems_of_type(kept: KeptField, label: str) -> Iterator[str]:
    kind, field, name = type(kept.declared), kept.field, type(kept.field).__name__
    if kind is Count and not isinstance(field, IntegerField):
        yield f"A count is an integer, and {label} is a {name}. Make it an IntegerField."
    elif kind not in (Min, Max) and not isinstance(field, _NUMBERS):
        yield f"{kind.__name__} is a number, and {label} is a {name}. Make it a FloatField or a DecimalField."
    elif kind in (Avg, StdDev, Variance) and isinstance(field, IntegerField):
        yield f"{kind.__name__} has fractions, and {label} is an {name}. Make it a FloatField or a DecimalField."
    elif kind in (Sum, Min, Max):
        yield from _problems_of_decimals(kept, label)


def _problems_of_decimals(kept: KeptField, label: str) -> Iterator[str]:
    """Yield a problem if the aggregate has more decimal places than the field."""
    decimals, field = decimals_of(kept.cut.argument, kept.cut.child), kept.field
    if isinstance(field, FloatField) or not isinstance(field, _NUMBERS):
        return
    if decimals is None and type(kept.declared) is Sum:
        yield (
            f"{kept.declared!r} may have any number of decimals, and {label} does not. Make it a FloatField, or sum"
            " integers and decimals by +, - and *."
        )
    has = field.decimal_places if isinstance(field, DecimalField) else 0
    if decimals is not None and decimals > has:
        yield f"The values have {decimals} decimal places, and {label} has {has}. Give it decimal_places={decimals}."


def _problems_of_deletion(kept: KeptField) -> Iterator[str]:
    for key in kept.child._meta.concrete_fields:
        policy = str(getattr(key.remote_field, "on_delete", ""))
        concerned = policy == "DB_CASCADE" or key.name in kept.columns
        if policy.startswith("DB_") and concerned and key not in kept.links:
            yield (
                f"{key.model._meta.label}.{key.name} has on_delete={policy}: the database writes children by itself,"
                f" and no signal is sent. Let Django do it: on_delete={policy.removeprefix('DB_')}."
            )


def _problems_of_chain(kept: KeptField) -> Iterator[str]:
    below, seen = [kept], set[Any]()
    while below:
        one = below.pop()
        if one.child is kept.parent and kept.name in one.columns:
            yield (
                f"{kept.name!r} would be computed from itself, by way of {one!r}. Let one of the kept fields aggregate"
                " something else."
            )
            return
        seen.add(one)
        below += [
            other
            for other in kept_fields()
            if other not in seen and other.parent is one.child and other.name in one.columns
        ]


def warnings_of(kept: KeptField) -> Iterator[tuple[str, str]]:
    """Yield what is not wrong and may surprise, each with what to do."""
    if isinstance(kept.field, PositiveIntegerRelDbTypeMixin):
        label = kept.label
        yield (
            f"{label} is a {type(kept.field).__name__}: if its value is ever too low, deleting a child is an error of"
            " the database.",
            f"Make it an {type(kept.field).__name__.replace('Positive', '')}; `manage.py recipes verify` finds values"
            " that are wrong.",
        )
