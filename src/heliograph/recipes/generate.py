"""Generate: a field of a new row gets a value that is computed of the row, in the transaction that inserts the row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import NotSupportedError, connections
from django.db.models import NOT_PROVIDED, AutoField, Model, Q

from heliograph import Batch, Inline, created, raw
from heliograph.building import writing
from heliograph.recipes.declarations import Declaration, declare, named, written
from heliograph.recipes.fields import plain_field
from heliograph.recipes.inserting import locked, unique_sets
from heliograph.recipes.mending import mend_rows
from heliograph.recipes.subjects import Difference, SubjectOfRows
from heliograph.signals import post_save, pre_bulk_create, pre_save

Function = Callable[[Any], Any]

# The order of the receivers; other receivers have 0, and so are called before. A value is computed from the fields that
# they have set, and they receive the row as created before they receive the value as a change.
_LATE = 900


def generate(model: type[Model] | str, /, *, before_insert: bool = False, **functions: Function) -> Declaration:
    """Give fields of a new row their values, each by a function of the row, which has its primary key by then.

        generate(Product, sku=lambda product: f"{product.shop.code}-{product.pk}")

    This works for `save()`, `create()` and `bulk_create()`, also with conflicts. A row whose key is known gets its
    values with the INSERT; other rows get theirs right after it, in the same transaction, by one `bulk_update()`. With
    `before_insert=True`, for functions that do not need the key, all get theirs with the INSERT. A value that the
    caller has set is left alone, and so is each row that exists, and each row of a fixture. `manage.py recipes
    backfill` gives older rows a value. The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for a field or a function that does not fit; if models are not loaded yet, a
    system check reports it. A `bulk_create()` raises NotSupportedError on a database that does not return its keys, and
    TypeError for an upsert that would give rows that exist another value.
    """
    text = written("generate", model, **functions, **({"before_insert": True} if before_insert else {}))
    _verify_functions(text, functions)

    def connect(declaration: Declaration, model: type[Model]) -> None:
        for name in functions:
            field = _generated_field(text, model, name, before_insert)
            declaration.claim(field, f"{name!r} is generated already", "Remove one of the two.")
        generating = Generating(text, model, functions, before_insert)
        _connect(declaration, generating)
        declaration.subjects = tuple(
            SubjectOfValues(f"{model._meta.label}.{name}", model, text, name, one) for name, one in functions.items()
        )

    return declare(text, connect, model)


def _connect(declaration: Declaration, generating: Generating) -> None:
    def receive(signal: Any, method: Callable[..., None], **options: Any) -> None:
        receiver = named(generating.label, method)
        declaration.connect(signal, receiver, sender=generating.model, subclasses=True, order=_LATE, **options)

    receive(pre_bulk_create, generating.verify)
    receive(pre_save, generating.before, when=created & ~raw, bulk=True)
    if not generating.before_insert:
        receive(post_save, generating.after, when=created & ~raw, bulk=True, delivery=Inline(batch=True))


# --- values -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Generating:
    """The receivers that give new rows of a model their values."""

    text: str  # the declaration
    model: type[Model]
    functions: Mapping[str, Function]
    before_insert: bool

    @property
    def label(self) -> str:
        """The recipe and its fields, such as "generate(app.Product: sku)"."""
        return f"generate({self.model._meta.label}: {', '.join(self.functions)})"

    def verify(
        self, sender: Any, instances: Sequence[Any], update_fields: Collection[str] | None, using: str, **kwargs: Any
    ) -> None:
        """Refuse a bulk_create() whose rows nobody could find again, or that would overwrite values."""
        waiting = [row for row in instances if self._lacks(row)]
        overwritten = sorted(self.functions.keys() & {*(update_fields or ())})
        if waiting and overwritten:
            raise TypeError(
                f"{self.label}: bulk_create(update_conflicts=True) would give rows that exist another"
                f" {overwritten[0]!r}. Leave it out of update_fields."
            )
        returns_keys = connections[using].features.can_return_rows_from_bulk_insert
        if not (self.before_insert or returns_keys or all(map(has_key, waiting))):
            raise self._no_keys(sender, using)

    def before(self, instance: Any, **kwargs: Any) -> None:
        """Give an instance its values before its INSERT, if its key is known or not needed."""
        _forget(instance)
        if has_key(instance):
            self._fill(instance)
        elif self.before_insert:
            with no_key(self.label, instance):
                self._fill(instance)
        else:
            self._empty(instance)

    def after(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Give rows their values right after their INSERT, when they have their keys."""
        waiting = [row for row in batch.created if self._lacks(row)]
        if not all(map(has_key, waiting)):
            raise self._no_keys(sender, using)
        for row in waiting:
            _remember(row, self._fill(row))
        if waiting:
            sender._base_manager.using(using).bulk_update(waiting, [*self.functions])

    def _no_keys(self, sender: Any, using: str) -> NotSupportedError:
        return NotSupportedError(
            f"{self.label}: the database {using!r} does not return the keys of the rows that bulk_create() inserts into"
            f" {sender._meta.label}, so nothing can be computed of them. Save the rows one by one, give them keys, or"
            " declare before_insert=True if no function needs the key."
        )

    def _lacks(self, row: Any) -> bool:
        return any(is_empty(getattr(row, name)) for name in self.functions)

    def _empty(self, row: Any) -> None:
        """Let fields that wait for a value be NULL where they can: a second empty text might not be unique."""
        for name in self.functions:
            if is_empty(getattr(row, name)) and row._meta.get_field(name).null:
                setattr(row, name, None)

    def _fill(self, row: Any) -> dict[str, Any]:
        """Give a row the values that it lacks, and return the old values of these fields."""
        before = {name: getattr(row, name) for name in self.functions if is_empty(getattr(row, name))}
        for name in before:
            setattr(row, name, computed(self.text, name, self.functions[name], row))
        return before


def computed(text: str, name: str, function: Function, row: Any) -> Any:
    """Return the value that a function computes of a row. Raises ValueError for none."""
    value = function(row)
    if is_empty(value):
        raise ValueError(f"{text}: the function of {name!r} returned {value!r} for {row!r}. It must return a value.")
    return value


def is_empty(value: Any) -> bool:
    """Return whether a field has no value: its caller has set none."""
    return value is None or (isinstance(value, str) and not value)


# The attribute of an instance with the key for which values were computed, and what the fields had before.
_COMPUTED = "_heliograph_generated"


def _remember(row: Any, before: Mapping[str, Any]) -> None:
    now = {name: (getattr(row, name), value) for name, value in before.items()}
    vars(row).setdefault(_COMPUTED, {}).update({name: (row.pk, *values) for name, values in now.items()})


def _forget(row: Any) -> None:
    """Remove values that were computed from a key which the row has lost, because an error has undone its INSERT."""
    for name, (key, value, before) in vars(row).pop(_COMPUTED, {}).items():
        if key != row.pk and getattr(row, name) == value:
            setattr(row, name, before)


# --- keys ---------------------------------------------------------------------------------------------------------


def has_key(row: Any) -> bool:
    """Return whether all columns of the primary key of a row have values, and no expression of the database."""
    keys = (getattr(row, field.attname) for field in row._meta.pk_fields)
    return not any(key is None or hasattr(key, "resolve_expression") for key in keys)


class KeyBeforeInsert:
    """Stands for a key that is not known yet: to use it is an error, where None would become a part of the value."""

    def __init__(self, label: str) -> None:
        self.label = label

    def _refuse(self, *args: Any) -> Any:
        raise TypeError(
            f"{self.label}: its function asks for the key of a row that has none before its INSERT. Declare it without"
            " before_insert=True."
        )

    # Python itself refuses everything else, such as int() and a comparison.
    __str__ = __repr__ = __format__ = __bool__ = __eq__ = __hash__ = __add__ = __radd__ = _refuse


@contextmanager
def no_key(label: str, row: Any) -> Iterator[None]:
    """Let the key of a row be an error to use, in the block."""
    models = [row._meta.model, *row._meta.all_parents]
    names = {field.attname for model in models for field in model._meta.pk_fields}
    before = {name: vars(row).get(name) for name in names if vars(row).get(name) is None}
    vars(row).update(dict.fromkeys(before, KeyBeforeInsert(label)))
    try:
        yield
    finally:
        vars(row).update(before)


# --- rows that are older ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SubjectOfValues(SubjectOfRows):
    """The values of a field, which all rows have."""

    text: str
    name: str
    function: Function

    def describe(self) -> str:
        return f"{self.label}: a value for each row"

    def differences(self, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
        rows = self._empty(using, keys).order_by("pk").values_list("pk", flat=True)
        return (Difference(self.label, key, "missing", "a value") for key in rows)

    def mend(self, using: str, keys: Sequence[Any]) -> Mapping[Any, str]:
        with writing(self.model, using):
            return mend_rows(locked(self._empty(using, keys), using), self._fill, [self.name], using)

    def _empty(self, using: str, keys: Sequence[Any]) -> Any:
        """Return the rows without a value, among those with these primary keys."""
        field: Any = self.model._meta.get_field(self.name)
        empty = Q(**{f"{self.name}__isnull": True})
        if field.empty_strings_allowed:
            empty |= Q(**{self.name: ""})
        return self.model._base_manager.using(using).filter(empty, pk__in=keys)

    def _fill(self, row: Any) -> None:
        setattr(row, self.name, computed(self.text, self.name, self.function, row))


# --- what is refused ----------------------------------------------------------------------------------------------


def _verify_functions(text: str, functions: Mapping[str, Any]) -> None:
    if not functions:
        raise TypeError(f"{text} names no field. Give one with its function, such as sku=lambda product: ...")
    for name, function in functions.items():
        if not callable(function):
            raise TypeError(f"{text}: {name}= takes a function of the row, not {function!r}.")


def _generated_field(text: str, model: type[Model], name: str, before_insert: bool) -> Any:
    """Return a field that is empty until a value is computed for it."""
    field = plain_field(text, model, name)
    if field.db_default is not NOT_PROVIDED or not (field.default is NOT_PROVIDED or is_empty(field.default)):
        raise TypeError(f"{text}: {name!r} has a default, which would be left alone. Take the default away.")
    if not before_insert and _makes_keys(model) and not (field.null or _may_be_empty(model, field)):
        raise TypeError(
            f"{text}: {name!r} must be empty until a new row has its key, which the database makes. Add null=True to"
            " it, or declare before_insert=True if its function does not need the key."
        )
    return field


def _may_be_empty(model: type[Model], field: Any) -> bool:
    """Return whether several new rows may have an empty text in a field at once."""
    return field.empty_strings_allowed and not any(field.name in names for names in unique_sets(model))


def _makes_keys(model: type[Model]) -> bool:
    """Return whether the database makes keys of a model, or of the parent that a multi-table child inherits from."""
    return any(_is_made(field) for field in model._meta.pk_fields)


def _is_made(field: Any) -> bool:
    while field.remote_field is not None and field.remote_field.parent_link:
        field = field.target_field
    return isinstance(field, AutoField) or field.db_default is not NOT_PROVIDED
