"""Normalize: the values of a field are stored in one form, and looked up in it where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import NOT_PROVIDED, Lookup, Model, Value
from django.db.models.expressions import Col, DatabaseDefault

from heliograph import raw
from heliograph.building import writing
from heliograph.recipes.declarations import Declaration, declare, named, written
from heliograph.recipes.fields import plain_field
from heliograph.recipes.inserting import locked
from heliograph.recipes.mending import mend_rows
from heliograph.recipes.subjects import Difference, SubjectOfRows
from heliograph.signals import pre_bulk_create, pre_bulk_update, pre_save, pre_update

Function = Callable[[Any], Any]

# The orders of the receivers; others have 0. The first let conditions such as changed("email") compare normal values,
# and the last normalize what other receivers have set.
_FIRST, _LAST = -1000, 1000


def normalize(
    model: type[Model] | str, /, *, lookups: bool = False, **functions: Function | Sequence[Function]
) -> Declaration:
    """Store the values of fields in one form, each by a function of the value, or by several in a list.

        normalize(User, username=str.strip, email=[str.strip, str.lower])

    This works for `save()`, `bulk_create()`, also of upserts, `bulk_update()` and `update()`. With `lookups=True`,
    `filter(email=...)` and `filter(email__in=...)` look for the normal form of a value, also from other models. A
    function is never called with None, and must return a normal value as it is. Fixtures are left alone. `manage.py
    recipes backfill` normalizes the rows that are older. The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for a field or a function that does not fit; if models are not loaded yet, a
    system check reports it. A write raises TypeError for a value that the database computes, and ValueError for a
    function that does not return a normal value as it is.
    """
    composed = {name: Functions.of(name, given) for name, given in functions.items()}
    text = written("normalize", model, **composed, **({"lookups": True} if lookups else {}))
    if not composed:
        raise TypeError(f"{text} names no field. Give one with its function, such as email=str.lower.")

    def connect(declaration: Declaration, model: type[Model]) -> None:
        forms = [NormalForm(text, plain_field(text, model, name), one) for name, one in composed.items()]
        for form in forms:
            declaration.claim(form.field, f"{form.field.name!r} is normalized already", "Join the functions.")
            _verify_declared(form)
            if lookups:
                _look_up(declaration, form)
        _connect(declaration, model, Normalizing(forms))
        declaration.subjects = tuple(SubjectOfForm(form.label, model, form) for form in forms)

    return declare(text, connect, model)


def _connect(declaration: Declaration, model: type[Model], normalizing: Normalizing) -> None:
    names = ", ".join(form.field.name for form in normalizing.forms)

    def receive(signal: Any, method: Callable[..., None], order: int, **options: Any) -> None:
        receiver = named(f"normalize({model._meta.label}: {names})", method)
        declaration.connect(signal, receiver, sender=model, subclasses=True, order=order, **options)

    receive(pre_save, normalizing.save, _FIRST, when=~raw)
    receive(pre_bulk_create, normalizing.create_many, _FIRST)
    receive(pre_bulk_update, normalizing.update_many, _FIRST)
    receive(pre_update, normalizing.update, _FIRST)
    receive(pre_save, normalizing.save, _LAST, when=~raw, bulk=True)
    receive(pre_update, normalizing.update, _LAST)


# --- the form of a field ------------------------------------------------------------------------------------------


class Functions:
    """Functions that are called one after the other, each with the result of the one before."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self.functions = functions

    @classmethod
    def of(cls, name: str, given: Any) -> Functions:
        """Return what a declaration gives for a field. Raises TypeError for what is no function."""
        functions = [*given] if isinstance(given, list | tuple) else [given]
        if not functions or not all(map(callable, functions)):
            raise TypeError(
                f"normalize(): {name}= takes a function, or a list of functions such as [str.strip, str.lower], not"
                f" {given!r}."
            )
        return cls(functions)

    def __call__(self, value: Any) -> Any:
        for function in self.functions:
            value = function(value)
        return value

    def __repr__(self) -> str:
        names = [getattr(one, "__qualname__", None) or repr(one) for one in self.functions]
        return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


@dataclass(frozen=True)
class NormalForm:
    """The form in which the values of a field are stored."""

    text: str  # the declaration
    field: Any
    function: Functions

    @property
    def label(self) -> str:
        """The field, such as "app.User.email"."""
        return f"{self.field.model._meta.label}.{self.field.name}"

    def of(self, value: Any) -> Any:
        """Return a value in its normal form; the same object if it is normal.

        Raises TypeError for an expression, and ValueError if the function does not return a normal value as it is.
        """
        given = value.value if isinstance(value, Value) else value
        if given is None or isinstance(given, DatabaseDefault):
            return value
        if hasattr(given, "resolve_expression"):
            raise self._not_computed(given)
        given = self.field.to_python(given)
        normal = self.function(given)
        if normal == given:
            return value
        self._verify(given, normal)
        return normal

    def _not_computed(self, expression: Any) -> TypeError:
        return TypeError(
            f"{self.text}: the database would compute {expression!r}, where nobody can call {self.function!r}; and the"
            " functions of databases differ from those of Python. Give a value: read the rows, set"
            f" {self.field.name!r}, and bulk_update() them."
        )

    def _verify(self, given: Any, normal: Any) -> None:
        again = None if normal is None else self.function(normal)
        if again != normal:
            raise ValueError(
                f"{self.text}: {self.function!r} makes {normal!r} of {given!r}, and {again!r} of that. It must return"
                " a normal value as it is."
            )

    def set(self, instance: Any) -> None:
        """Give an instance the normal form of its value."""
        value = getattr(instance, self.field.attname)
        normal = self.of(value)
        if normal is not value:
            setattr(instance, self.field.attname, normal)

    def difference(self, key: Any, stored: Any) -> Difference | None:
        """Return what differs in a row with this value; None if it is normal."""
        try:
            normal = self.of(stored)
        except Exception as error:  # of a function of the project, which may raise any
            return Difference(self.label, key, repr(stored), "normal", f"The function raises {error!r}")
        return None if normal is stored else Difference(self.label, key, repr(stored), repr(normal))


# --- writes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Normalizing:
    """The receivers that normalize values before they are written."""

    forms: Sequence[NormalForm]

    def save(self, instance: Any, update_fields: Collection[str] | None, **kwargs: Any) -> None:
        """Normalize an instance: no field that the write leaves out, since the instance may be older than its row."""
        for form in self.forms:
            if update_fields is None or form.field.name in update_fields:
                form.set(instance)

    def create_many(self, instances: Iterable[Any], **kwargs: Any) -> None:
        """Normalize instances that are inserted; an upsert inserts all fields, whichever it may update."""
        self.update_many(instances, None)

    def update_many(self, instances: Iterable[Any], update_fields: Collection[str] | None, **kwargs: Any) -> None:
        """Normalize instances of which these fields are written."""
        for instance in instances:
            self.save(instance, update_fields)

    def update(self, values: dict[str, Any], **kwargs: Any) -> None:
        """Normalize the values of an update."""
        for name, form in ((form.field.name, form) for form in self.forms):
            if name in values:
                values[name] = form.of(values[name])


# --- lookups ------------------------------------------------------------------------------------------------------


def _look_up(declaration: Declaration, form: NormalForm) -> None:
    """Let queries look for the normal form of a value, by lookups that are registered on the field itself."""
    for name, normal in (("exact", _value), ("in", _values)):
        before = vars(form.field).get("instance_lookups", {}).get(name)
        lookup = _lookup(form, form.field.get_lookup(name), normal)
        form.field.register_lookup(lookup, name)
        declaration.undone_by(_restore, form.field, name, before)


def _lookup(form: NormalForm, lookup: Any, normal: Callable[[NormalForm, Any], Any]) -> type[Lookup[Any]]:
    """Return a lookup that makes another one, with the normal form of its value.

    The query gets the other one, so that it may be pickled, and compiles as ever. Of an expression, such as
    `Lower("email")`, Django asks the field for lookups too; only its own column has values in normal form.
    """

    def new(cls: type, lhs: Any, rhs: Any) -> Any:
        is_column = isinstance(lhs, Col) and lhs.target == form.field
        return lookup(lhs, normal(form, rhs) if is_column and not _is_query(rhs) else rhs)

    return type(f"Normal{lookup.__name__}", (lookup,), {"__new__": new})


def _value(form: NormalForm, value: Any) -> Any:
    return value if _is_query(value) else form.of(value)


def _values(form: NormalForm, values: Iterable[Any]) -> list[Any]:
    return [_value(form, value) for value in values]


def _is_query(value: Any) -> bool:
    """Return whether the database computes what is looked for."""
    return hasattr(value, "resolve_expression") and not isinstance(value, Value)


def _restore(field: Any, name: str, lookup: Any) -> None:
    if lookup is not None:
        field.register_lookup(lookup, name)
        return
    del field.instance_lookups[name]
    if not field.instance_lookups:
        del field.instance_lookups


# --- rows that are older ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SubjectOfForm(SubjectOfRows):
    """The stored values of a field."""

    form: NormalForm

    def describe(self) -> str:
        return f"{self.label}: {self.form.function!r}"

    def differences(self, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
        rows = self.model._base_manager.using(using).filter(pk__in=keys).order_by("pk")
        found = (self.form.difference(*row) for row in rows.values_list("pk", self.form.field.attname))
        return (one for one in found if one is not None)

    def mend(self, using: str, keys: Sequence[Any]) -> Mapping[Any, str]:
        with writing(self.model, using):
            rows = locked(self.model._base_manager.using(using).filter(pk__in=keys), using)
            return mend_rows(rows, self.form.set, [self.form.field.name], using)


# --- what is refused ----------------------------------------------------------------------------------------------


def _verify_declared(form: NormalForm) -> None:
    """Raise TypeError for a field whose own values are not normal."""
    for value, kind in _declared(form.field):
        if form.of(value) != value:
            raise TypeError(
                f"{form.text}: {form.function!r} makes {form.of(value)!r} of {value!r}, which is {kind} of"
                f" {form.field.name!r}. Change one of them."
            )


def _declared(field: Any) -> Iterator[tuple[Any, str]]:
    """Yield the values that a field declares, with what they are."""
    for value, _ in field.flatchoices:
        yield value, "among the choices"
    if field.db_default is not NOT_PROVIDED:
        default = field.db_default.value if isinstance(field.db_default, Value) else field.db_default
        if not hasattr(default, "resolve_expression"):
            yield default, "the db_default"
