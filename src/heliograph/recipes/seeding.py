"""Seeding: rows that exist in each database after `migrate`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.apps import apps as all_apps
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import Field, Model, Q, QuerySet

from heliograph.building import writing
from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.recipes.fields import field_named
from heliograph.recipes.inserting import insert_missing, locked, unique_sets, verify_can_insert
from heliograph.recipes.subjects import Difference, Report, no_report
from heliograph.signals import post_migrate

Row = Mapping[str, Any]
Rows = Sequence[Row] | Callable[[str], Sequence[Row]]
Key = tuple[Any, ...]  # the values by which a row is found
Values = Mapping[Any, Any]  # by field

_AFTER_DJANGO = 1000  # the order of a receiver: Django's own, and those of most packages, have 0


def seed(
    model: type[Model] | str, rows: Rows, *, key: Sequence[str] | None = None, update: bool = False
) -> Declaration:
    """Let rows of a model exist in each database after `migrate`.

        seed(Group, [{"name": "Students"}, {"name": "Teachers"}])

    The rows that are missing are inserted. A row is found by a unique field, or by fields that are unique together,
    among the fields that all rows give: by the first of them, or by `key`. A row that exists is left as it is; with
    `update=True` it gets the given values. `rows` may be a function of the alias of the database, which is called after
    `migrate`, for rows that refer to others. The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for rows that cannot be found; if models are not loaded yet, a system check
    reports it.
    """
    asked = {"key": key, "update": update}
    text = written("seed", model, **{name: value for name, value in asked.items() if value})

    def connect(declaration: Declaration, model: type[Model]) -> None:
        verify_can_insert(text, model)
        seeds = Seeds(text, model, rows, key, update)
        if not callable(rows):
            seeds.planned(DEFAULT_DB_ALIAS)  # which refuses what is wrong
        after = _AFTER_DJANGO + len(_referred(model))
        declaration.connect(post_migrate, Seeding(seeds), when=of_the_last_app, order=after)
        declaration.subjects = (seeds,)

    return declare(text, connect, model)


def of_the_last_app(sender: Any, **kwargs: Any) -> bool:
    """Return whether `migrate` sends post_migrate for the last time: permissions and content types exist by then."""
    return sender is [one for one in all_apps.get_app_configs() if one.models_module is not None][-1]


def _referred(model: type[Model]) -> set[type[Model]]:
    """Return the models to which rows of a model refer, also by way of others; they are fewer than its own."""
    found: set[type[Model]] = set()
    waiting: list[Any] = [model._meta.concrete_model]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            targets = (field.remote_field.model for field in one._meta.concrete_fields if field.remote_field)
            waiting += [target._meta.concrete_model for target in targets]
    return found


class Seeding:
    """The receiver of post_migrate."""

    def __init__(self, seeds: Seeds) -> None:
        self.seeds = seeds
        self.__name__ = self.__qualname__ = f"seed({seeds.label})"

    def __call__(self, sender: Any, using: str, apps: Any = all_apps, **kwargs: Any) -> None:
        """Insert the rows that are missing, if this database has the table; the command `flush` gives no `apps`."""
        model = self.seeds.model
        if router.allow_migrate_model(using, model) and _has_table(model, apps):
            deque(self.seeds.verify(using, repair=True), maxlen=0)


def _has_table(model: type[Model], migrated: Any) -> bool:
    """Return whether there is a table with all columns, in the state to which `migrate` has come, maybe backwards."""
    try:
        there = migrated.get_model(model._meta.label)
    except LookupError:
        return False
    return _columns(model) <= _columns(there)


def _columns(model: type[Model]) -> set[str | None]:
    return {field.column for field in model._meta.concrete_fields}


@dataclass(frozen=True)
class Seeds:
    """The rows that a declaration gives to a model: what `manage.py recipes verify` looks for."""

    text: str  # the declaration
    model: type[Model]
    rows: Rows
    key: Sequence[str] | None
    update: bool

    @property
    def label(self) -> str:
        """The model, such as "auth.Group"."""
        return self.model._meta.label

    def describe(self) -> str:
        """Return a line for `manage.py recipes list`."""
        return f"{self.label}: rows that exist after migrate"

    def planned(self, using: str) -> Plan:
        """Return the rows by their keys. Raises TypeError for rows that cannot be found."""
        rows = self.rows(using) if callable(self.rows) else self.rows
        return planned(self.text, self.model, rows, self.key)

    def count(self, using: str) -> int:
        """Return the number of rows."""
        return len(self.planned(using).rows)

    def verify(
        self, using: str, *, repair: bool = False, after: Any = None, report: Report = no_report
    ) -> Iterator[Difference]:
        """Yield the rows that are missing, or that differ if they are to be updated; mended if that is asked for.

        They are few, so they are compared at once, whatever `after` says.
        """
        plan = self.planned(using)
        found = [*self._differences(plan, using)]
        if repair and found:
            self._mend(plan, using)
        yield from found
        report(len(plan.rows), [*plan.rows][-1])

    def _differences(self, plan: Plan, using: str) -> Iterator[Difference]:
        stored = plan.stored(using)
        for key, values in plan.rows.items():
            shown = key[0] if len(key) == 1 else key
            if key not in stored:
                yield Difference(self.label, shown, "missing", "a row")
                continue
            for field, value in values.items():
                if self.update and stored[key][field] != value:
                    yield Difference(f"{self.label}.{field.name}", shown, stored[key][field], value)

    def _mend(self, plan: Plan, using: str) -> None:
        with writing(self.model, using):
            insert_missing(self.model, plan.missing(using), plan.made, lambda keys: plan.missing(using), using)
            if self.update:
                plan.update(using)


@dataclass(frozen=True)
class Plan:
    """Rows by their keys, with values as the database would return them."""

    model: type[Model]
    key: Sequence[Field[Any, Any]]
    rows: Mapping[Key, Values]

    def missing(self, using: str) -> list[Key]:
        """Query for the keys that no row has."""
        stored = self.stored(using)
        return [key for key in self.rows if key not in stored]

    def stored(self, using: str) -> dict[Key, Values]:
        """Query for the rows that exist."""
        fields = [*dict.fromkeys(field for values in self.rows.values() for field in values)]
        found = (dict(zip(fields, row, strict=True)) for row in self._found(using).values_list(*map(_column, fields)))
        return {self._key_of(values): values for values in found}

    def _found(self, using: str) -> QuerySet[Any]:
        names = [*map(_column, self.key)]
        if len(names) == 1:
            where = Q(**{f"{names[0]}__in": [key[0] for key in self.rows]})
        else:
            where = reduce(or_, (Q(**dict(zip(names, key, strict=True))) for key in self.rows))
        return self.model._base_manager.using(using).filter(where)

    def _key_of(self, values: Values) -> Key:
        return tuple(values[field] for field in self.key)

    def made(self, key: Key) -> Model:
        """Return a new instance of the row with this key."""
        return self.model(**{_column(field): value for field, value in self.rows[key].items()})

    def update(self, using: str) -> None:
        """Lock the rows that exist, and write the given values to those that differ."""
        rows = [*locked(self._found(using), using)]
        differing = [row for row in rows if self._assign(row)]
        names = {field.name for values in self.rows.values() for field in values if field not in self.key}
        if differing:
            self.model._base_manager.using(using).bulk_update(differing, sorted(names))

    def _assign(self, row: Model) -> bool:
        """Give a row its values. Return whether it differs from them."""
        key = tuple(getattr(row, _column(field)) for field in self.key)
        values = {_column(field): value for field, value in self.rows[key].items()}
        differs = any(getattr(row, name) != value for name, value in values.items())
        for name, value in values.items():
            setattr(row, name, value)
        return differs


def _column(field: Field[Any, Any]) -> str:
    return field.attname


# --- what is refused ----------------------------------------------------------------------------------------------


def planned(text: str, model: type[Model], rows: Any, key: Sequence[str] | None) -> Plan:
    """Return the rows of a declaration by their keys. Raises TypeError, with what to do, if they cannot be found."""
    if not isinstance(rows, Sequence) or not rows or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(f'{text}: rows are a list of mappings, such as [{{"name": "Students"}}], not {rows!r}.')
    read = [{field: _value(text, field, value) for field, value in _fields(text, model, row)} for row in rows]
    fields = _key(text, model, set(read[0]).intersection(*read), key)
    plan = Plan(model, fields, {tuple(values[field] for field in fields): values for values in read})
    names = " and ".join(repr(field.name) for field in fields)
    if any(None in key for key in plan.rows):
        raise TypeError(f"{text}: rows are found by {names}, which is None in one of them. Give it a value.")
    if len(plan.rows) < len(read):
        raise TypeError(f"{text}: two of the rows have the same {names}, by which rows are found. Leave one out.")
    return plan


def _fields(text: str, model: type[Model], row: Row) -> Iterator[tuple[Any, Any]]:
    names = {field.attname: field.name for field in model._meta.concrete_fields}
    return ((field_named(text, model, names.get(name, name)), value) for name, value in row.items())


def _value(text: str, field: Any, value: Any) -> Any:
    """Return a value as the database would return it."""
    if hasattr(value, "resolve_expression"):
        raise TypeError(f"{text}: {field.name!r} is an expression, which is no value to compare. Give the value.")
    if isinstance(value, Model) and field.remote_field:
        value = getattr(value, field.target_field.attname)
    try:
        return field.to_python(value)
    except ValidationError as error:
        raise TypeError(f"{text}: {field.name!r} cannot be {value!r}. {' '.join(error.messages)}") from error


def _key(text: str, model: type[Model], given: set[Any], key: Sequence[str] | None) -> Sequence[Any]:
    """Return the fields by which rows are found: those of `key`, or the first that are unique and in all rows."""
    names = {field.name for field in given}
    for unique in unique_sets(model):
        if unique == {*key} if key is not None else unique <= names:
            return [model._meta.get_field(name) for name in sorted(unique)]
    if key is not None:
        problem = f"{[*key]} is not unique in {model._meta.label}, so two processes might both insert a row."
    else:
        problem = f"no unique field of {model._meta.label} is in all rows, by which they could be found."
    there = ", ".join(f"{' and '.join(sorted(one))}" for one in unique_sets(model))
    raise TypeError(f"{text}: {problem} Unique are: {there}. Give one of them in each row, or add a UniqueConstraint.")
