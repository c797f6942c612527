"""Loading: the methods of Django that give instances their values, read them again, and copy them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any

from django.db.models.fields.related_descriptors import ForwardOneToOneDescriptor
from django.db.models.query_utils import DeferredAttribute

from heliograph.orm.steps import Method, Proceed

# --- Model.from_db ------------------------------------------------------------------------------------------------


def _from_db(inner: Any, steps: Sequence[Proceed]) -> Any:
    # Every loaded row comes through here: the step is called after it, with the instance, the names and the values.
    (remember,) = steps
    function: Any = getattr(inner, "__func__", inner)

    @wraps(function)
    def from_db(cls: Any, db: Any, field_names: Any, values: Any, **options: Any) -> Any:
        instance = inner.__get__(None, cls)(db, field_names, values, **options)
        remember(instance, field_names, values)
        return instance

    made: Any = from_db
    return classmethod(made)


from_db = Method("from_db", ("remember",), _from_db, are_around=False)

# --- Model.refresh_from_db ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Refresh:
    """A call of `Model.refresh_from_db`, which reads a row again, or deferred fields of it."""

    instance: Any
    using: str | None
    fields: Any
    from_queryset: Any
    others: dict[str, Any]  # what the method of a model takes beyond Django's


def _call_refresh_from_db(inner: Proceed, heir: Any, refresh: Refresh) -> Any:
    # Only what was given: the method of a model may have fewer parameters.
    names = ("using", "fields", "from_queryset")
    given = {name: value for name in names if (value := getattr(refresh, name)) is not None}
    return inner(refresh.instance, **given, **refresh.others)


def _refresh_from_db(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def refresh_from_db(
        self: Any, using: str | None = None, fields: Any = None, from_queryset: Any = None, **others: Any
    ) -> Any:
        return run(Refresh(self, using, fields, from_queryset, others))

    return refresh_from_db


refresh_from_db = Method("refresh_from_db", ("remember",), _refresh_from_db, call=_call_refresh_from_db)

# --- copies -------------------------------------------------------------------------------------------------------


def _getstate(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def __getstate__(self: Any) -> Any:  # noqa: N807 - that is its name
        return run(self)

    return __getstate__


getstate = Method("__getstate__", ("name_fields",), _getstate)

# --- values that Django reads or makes for a field ------------------------------------------------------------------


def _fetch_many(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def fetch_many(self: Any, instances: Any) -> Any:
        return run(self, instances)

    return fetch_many


# Django 6.1 and later fetch a deferred field for several instances at once.
fetch_many = Method("fetch_many", ("remember",), _fetch_many, DeferredAttribute)
CAN_FETCH_MANY = hasattr(DeferredAttribute, "fetch_many")


def _get_object(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def get_object(self: Any, instance: Any) -> Any:
        return run(self, instance)

    return get_object


# Django makes a multi-table parent from the values of its child, without a query.
get_object = Method("get_object", ("remember",), _get_object, ForwardOneToOneDescriptor)


def _pre_save(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def pre_save(self: Any, model_instance: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, model_instance, *args, **kwargs)

    return pre_save


pre_save = Method("pre_save", ("record_value",), _pre_save)


@cache
def reading(name: str) -> Method:
    """Return the attribute with this name of a model, whose step is called with instance and value at each read."""

    def wrap(inner: Any, steps: Sequence[Proceed]) -> ReadAttribute:
        (protect,) = steps
        return ReadAttribute(name, inner, protect)

    return Method(name, ("protect",), wrap, are_around=False)


class ReadAttribute:
    """A descriptor around the descriptor of a field: it calls a function before somebody reads a value."""

    def __init__(self, name: str, inner: Any, read: Callable[[Any, Any], None]) -> None:
        self.name = name
        self.inner = self.heliograph_inner = inner
        self.read = read
        self.set_inner = getattr(type(inner), "__set__", None)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is not None:
            self.read(instance, instance.__dict__.get(self.name))
        return self.inner.__get__(instance, owner)

    def __set__(self, instance: Any, value: Any) -> None:
        if self.set_inner is None:
            instance.__dict__[self.name] = value
        else:
            self.set_inner(self.inner, instance, value)

    def __delete__(self, instance: Any) -> None:
        delete = getattr(type(self.inner), "__delete__", None)
        if delete is not None:
            delete(self.inner, instance)
        elif self.name in instance.__dict__:
            del instance.__dict__[self.name]
        else:
            raise AttributeError(self.name)
