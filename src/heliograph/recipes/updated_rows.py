"""Updated rows: for which rows of an `update()` a condition holds, said in SQL of the values that are replaced.

An `update()` has no instances, and its rows differ: `update(status="paid")` changes only those that are not paid yet.
So a condition becomes a `Q` of the old values; or True or False, if it is the same for all rows.

    changed("status", to="paid"), update(status="paid")  ->  ~Q(status="paid")
    changed("status"), update(note="x")                  ->  False
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

from django.db.models import BooleanField, Case, F, Field, GeneratedField, Model, Q, Value, When
from django.db.models.lookups import Exact, IsNull

from heliograph import Condition
from heliograph.building import (
    ANYTHING,
    Both,
    Changed,
    Created,
    Either,
    Has,
    Not,
    OnFields,
    Raw,
    UpdateFields,
    alternatives,
    fields_of,
)

Rows = Q | bool
Values = Mapping[str, Any]  # of an update(), by the names of fields or of their columns

_UNDERSTOOD = (Changed, Has, Created, Raw, UpdateFields)


def verify(text: str, when: Condition, model: type[Model], field: Field[Any, Any]) -> None:
    """Raise an error, with what to do, for a condition that nobody can ask of the rows of an update.

    `text` is the declaration, and `field` the one whose new value depends on the condition.
    """
    for leaf in when.leaves():
        if not isinstance(leaf, _UNDERSTOOD):
            raise TypeError(
                f"{text}: {leaf!r} cannot be asked of the rows of an update(), which has no instances. Write it with"
                " changed(), has(), created, raw and update_fields()."
            )
        for problem in leaf.problems(model) if isinstance(leaf, OnFields) else ():
            raise problem.error(f"{problem.text} {problem.hint}")
        for one in fields_of(model, leaf.fields) if isinstance(leaf, OnFields) else ():
            _verify_column(text, one, field)


def _verify_column(text: str, asked: Any, field: Any) -> None:
    if isinstance(asked, GeneratedField):
        raise TypeError(f"{text}: {asked.name!r} is computed by the database. Ask for the fields of its expression.")
    if asked.model._meta.concrete_model is not field.model._meta.concrete_model:
        raise TypeError(
            f"{text}: {asked.name!r} is a column of {asked.model._meta.label}, and {field.name!r} one of"
            f" {field.model._meta.label}. An update() cannot compare them: ask for fields of one table."
        )


def rows_of(when: Condition, model: type[Model], values: Values) -> Rows:
    """Return for which rows of an update with these values a condition holds."""
    match when:
        case Both():
            return _both(rows_of(when.left, model, values), rows_of(when.right, model, values))
        case Either():
            return _either(rows_of(when.left, model, values), rows_of(when.right, model, values))
        case Not():
            return _negated(rows_of(when.inner, model, values))
        case Changed():
            written = [(one, value) for one, value in _written(model, values) if _is_asked(when, model, one)]
            return _any(_changed(when, field, value) for field, value in written)
        case Has():
            new = {field.name: value for field, value in _written(model, values)}
            pairs = [(field, wanted) for name, wanted in when.values for field in fields_of(model, (name,))]
            return _all(_has(field, wanted, new) for field, wanted in pairs)
        case UpdateFields():
            written = [field for field, _ in _written(model, values)]
            return not when.fields or any(field in written for field in fields_of(model, when.fields))
        case _:
            return False  # nothing is created by an update, nor is it raw


def _written(model: type[Model], values: Values) -> Iterator[tuple[Any, Any]]:
    """Yield the fields that an update writes, each with its value."""
    for field in model._meta.concrete_fields:
        for name in {field.name, field.attname} & values.keys():
            yield field, values[name]


def _is_asked(when: Changed, model: type[Model], field: Any) -> bool:
    if when.fields:
        return field in fields_of(model, when.fields)
    return not getattr(field, "auto_now", False)


# --- one field ----------------------------------------------------------------------------------------------------


def _changed(when: Changed, field: Any, value: Any) -> Rows:
    was = when.was is ANYTHING or _any(_was(field, one) for one in _prepared(field, when.was))
    to = when.to is ANYTHING or _any(_becomes(field, value, one) for one in _prepared(field, when.to))
    return _both(_negated(_stays(field, value)), _both(was, to))


def _has(field: Any, wanted: Any, new: Values) -> Rows:
    values = _prepared(field, wanted)
    if field.name in new:
        return _any(_becomes(field, new[field.name], one) for one in values)
    return _any(_was(field, one) for one in values)


def _stays(field: Any, value: Any) -> Q:
    """Return for which rows a new value, which may be an expression of the row, is the old one."""
    if not _is_expression(value):
        return _was(field, _stored(field, value))
    old = F(field.attname)
    return _certain(Q(Exact(old, value)) | Q(IsNull(old, True), IsNull(value, True)))


def _was(field: Any, value: Any) -> Q:
    return _certain(Q(**{f"{field.attname}__isnull": True} if value is None else {field.attname: value}))


def _becomes(field: Any, new: Any, value: Any) -> Rows:
    if not _is_expression(new):
        return bool(_stored(field, new) == value)
    return _certain(Q(IsNull(new, True) if value is None else Exact(new, Value(value, output_field=field))))


def _prepared(field: Any, wanted: Any) -> list[Any]:
    return [_stored(field, one) for one in alternatives(field, wanted)]


def _stored(field: Any, value: Any) -> Any:
    """Return a value as the column has it; of an instance its key."""
    return field.get_prep_value(getattr(value, field.target_field.attname) if isinstance(value, Model) else value)


def _is_expression(value: Any) -> bool:
    return hasattr(value, "resolve_expression")


# --- True, False, and what the rows say ---------------------------------------------------------------------------


def _certain(question: Q) -> Q:
    """Return a question whose answer is yes or no, where SQL would say NULL."""
    return Q(Case(When(question, then=Value(True)), default=Value(False), output_field=BooleanField()))


def _negated(rows: Rows) -> Rows:
    return not rows if isinstance(rows, bool) else ~rows


def _both(left: Rows, right: Rows) -> Rows:
    if isinstance(left, bool):
        return right if left else False
    if isinstance(right, bool):
        return left if right else False
    return left & right


def _either(left: Rows, right: Rows) -> Rows:
    return _negated(_both(_negated(left), _negated(right)))


def _all(rows: Iterable[Rows]) -> Rows:
    return _folded(_both, rows, True)


def _any(rows: Iterable[Rows]) -> Rows:
    return _folded(_either, rows, False)


def _folded(combine: Callable[[Rows, Rows], Rows], rows: Iterable[Rows], start: Rows) -> Rows:
    return reduce(combine, rows, start)
