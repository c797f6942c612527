"""Hooks: the steps around the methods of a watched model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from functools import cache, partial, wraps
from typing import Any

from django.core.serializers.base import DeserializedObject
from django.db import router
from django.db.models import QuerySet
from django.db.models.fields.related_descriptors import ForwardOneToOneDescriptor
from django.db.models.query_utils import DeferredAttribute

from heliograph.changes.current import without_wrapper
from heliograph.changes.memory import measured, name_fields, protect, recalled, remembered, stored
from heliograph.changes.plans import PLANS, Plan, Watching
from heliograph.changes.saving import Saving, running
from heliograph.changes.values import is_immutable
from heliograph.orm.steps import PatchLease, Step, StepOrder

# --- a model --------------------------------------------------------------------------------------------------

# A hook works for instances of one class only. A call from a subclass just passes through it: a watched subclass has a
# hook of its own. A hook also belongs to one `Watching`: it has no effect after that, even if a tool still holds it.


def of_model(plan: Plan) -> Iterator[Step]:
    """Yield what makes the instances of a model remember their rows."""
    model, watching = plan.model, plan.watching
    for name, (hook, reason) in _HOOKS.items():
        yield Step(model, name, partial(hook, watching), reason, StepOrder.MEMORY)
    for field in plan.mutable:
        if inspect.getattr_static(model, field.attname, None) is not None:
            make = partial(CopiedOnRead, field.attname)
            yield Step(model, field.attname, make, "shows whether a value is changed in place", StepOrder.MEMORY)
    yield Step(model, "from_db", partial(_from_db, plan), "is given the row", StepOrder.MEMORY)


def _from_db(plan: Plan, inner: Any) -> Any:
    owner, columns, memory = plan.model, plan.columns, plan.memory
    function: Any = getattr(inner, "__func__", inner)

    @wraps(function)
    def from_db(cls: Any, db: Any, field_names: Any, values: Any, **options: Any) -> Any:
        nonlocal columns, memory
        instance = inner.__get__(None, cls)(db, field_names, values, **options)
        if type(instance) is owner:
            if columns is not owner._meta.concrete_fields and (plan_now := plan.watching.plan()) is not None:
                columns, memory = plan_now.columns, plan_now.memory
            # A reference to all values takes no time; those of some fields need their names.
            is_row = len(values) == len(columns)
            setattr(instance._state, memory, values if is_row else dict(zip(field_names, values, strict=False)))
        return instance

    made: Any = from_db
    return classmethod(made)


def _save_base(watching: Watching, inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def save_base(self: Any, *args: Any, **kwargs: Any) -> Any:
        plan = watching.plan() if type(self) is watching.model else None
        if plan is None:
            return inner(self, *args, **kwargs)
        raw, force_insert, using = _of_save_base(*args, **kwargs)
        if plan.writes and kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = set(kwargs["update_fields"])  # which receivers of pre_save add to
        using = using or router.db_for_write(watching.model, instance=self)
        with Saving(self, plan, using, inserts=bool(force_insert)) as saving:
            if plan.fetched or plan.asked:
                saving.fetch(raw, force_insert)
            return inner(self, *args, **kwargs)

    return save_base


def _of_save_base(
    raw: bool = False,
    force_insert: Any = False,
    force_update: Any = False,
    using: str | None = None,
    *_: Any,
    **__: Any,
) -> tuple[bool, Any, str | None]:
    return raw, force_insert, using


def _save_table(watching: Watching, inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def _save_table(
        self: Any,
        raw: bool = False,
        cls: Any = None,
        force_insert: bool = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
    ) -> Any:
        plan = watching.plan() if type(self) is watching.model else None
        if plan is None:
            return inner(self, raw, cls, force_insert, force_update, using, update_fields)
        saving = running(self)
        if type(saving) is not Saving:  # somebody has called Model.save_base, past that of the model
            with Saving(self, plan, using or self._state.db):
                return self._save_table(raw, cls, force_insert, force_update, using, update_fields)
        saving.absent = saving.absent or saving.plan.absent_from(self)  # before the first of several tables
        with saving.locked(raw, force_insert):
            is_last = cls is self._meta.concrete_model  # its parents are written first
            inserts = force_insert or (is_last and saving.is_missing and not (force_update or update_fields))
            updated = inner(self, raw, cls, inserts, force_update, using, update_fields)
            # `inner` may have gone through this step again, which has then remembered the row.
            if is_last and saving.new is None:
                saving.written(not updated, update_fields)
            return updated

    return _save_table


def _refresh_from_db(watching: Watching, inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def refresh_from_db(self: Any, *args: Any, **kwargs: Any) -> None:
        plan = watching.plan() if type(self) is watching.model else None
        if plan is None:
            inner(self, *args, **kwargs)
            return
        args, kwargs = _with_listed_fields(args, kwargs)
        absent = plan.absent_from(self)
        inner(self, *args, **kwargs)
        # A model may read more than it was asked for.
        more = [name for name in absent if name in self.__dict__]
        _measured(self, plan, [*_refreshed(plan, *_of_refresh(*args, **kwargs)), *more])

    return refresh_from_db


def _with_listed_fields(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a refresh with fields that can be read twice."""
    if kwargs.get("fields") is not None:
        kwargs = {**kwargs, "fields": [*kwargs["fields"]]}
    if len(args) > 1 and args[1] is not None:
        args = (args[0], [*args[1]], *args[2:])
    return args, kwargs


def _of_refresh(using: Any = None, fields: Any = None, from_queryset: Any = None, **others: Any) -> tuple[Any, Any]:
    return fields, from_queryset


def _getstate(watching: Watching, inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def getstate(self: Any) -> Any:
        state = inner(self)
        plan = watching.plan() if type(self) is watching.model else None
        if plan is None or not isinstance(state, dict):
            return state
        copied = state.get("_state")
        if copied is not None and copied is not self._state:  # a model that does not copy it would have it changed
            name_fields(copied, plan)
        return state

    return getstate


# The first one is what keeps a memory right; from_db, which begins it, comes after all.
_HOOKS = {
    "_save_table": (_save_table, "ends when the row is written, before the receivers are called"),
    "save_base": (_save_base, "goes around the receivers of a save"),
    "refresh_from_db": (_refresh_from_db, "reads the row again"),
    "__getstate__": (_getstate, "says what is in a copy or a pickle"),
}


def _measured(instance: Any, plan: Plan, names: Collection[str]) -> None:
    measured(instance, plan, names)
    saving = running(instance)
    if saving is not None:
        saving.reloaded()


def _refreshed(plan: Plan, fields: list[str] | None, queryset: Any) -> Collection[str]:
    """Return the names of the fields that were read anew."""
    if fields is not None:
        return fields
    deferred, is_all_but = (set(), True) if queryset is None else queryset.query.deferred_loading
    return [name for name in plan.places if (name in deferred) is not is_all_but]


class CopiedOnRead:
    """The descriptor of a field whose values may be changed in place: what is remembered is a copy from then on.

    A copy when the row is loaded would cost every instance what only those pay here of which the value is read.
    """

    def __init__(self, name: str, inner: Any) -> None:
        self.name = name
        self.inner = self.heliograph_inner = inner
        self.set_inner = getattr(type(inner), "__set__", None)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is not None:
            value = instance.__dict__.get(self.name)
            plan = None if is_immutable(value) else PLANS.get(type(instance))
            if plan is not None:
                protect(instance, plan, self.name, value)
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


# --- a field with a way of its own to prepare a value ----------------------------------------------------------


def preparing(field: Any) -> Any:
    """Return the class of a field that overrides `pre_save()`; None if the method is Django's."""
    owner = next(base for base in type(field).__mro__ if "pre_save" in vars(base))
    return None if owner.__module__.startswith("django.db.models.") else owner


@cache
def recording(owner: Any) -> PatchLease:
    """Return the lease of a step that records the results of `pre_save()` of a field class for the running save."""
    reason = "returns the value that is written"
    return PatchLease(lambda: [Step(owner, "pre_save", _pre_save, reason, StepOrder.MEMORY)])


def _pre_save(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def pre_save(self: Any, model_instance: Any, *args: Any, **kwargs: Any) -> Any:
        value = inner(self, model_instance, *args, **kwargs)
        saving = running(model_instance)
        if type(saving) is Saving:
            saving.prepared[self.attname] = value
        return value

    return pre_save


# --- what all models share ------------------------------------------------------------------------------------


def of_all_models() -> Iterator[Step]:
    """Yield the steps that run while any model is watched."""
    yield from of_fixtures()
    yield from of_fetching()
    yield from of_parents()
    yield from of_bulk_writes()


def of_fixtures() -> Iterator[Step]:
    """Yield what sees rows that are loaded from fixtures, which calls Model.save_base past that of the model."""
    reason = "calls Model.save_base, whatever the model has"
    yield Step(DeserializedObject, "save", _save_deserialized, reason, StepOrder.MEMORY)


def _save_deserialized(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def save(self: Any, save_m2m: bool = True, using: str | None = None, **options: Any) -> None:
        instance = self.object
        plan = PLANS.get(type(instance))
        if plan is None:
            inner(self, save_m2m, using, **options)
            return
        inserts = bool(options.get("force_insert", False))
        alias = using or router.db_for_write(type(instance), instance=instance)
        with Saving(instance, plan, alias, inserts=inserts) as saving:
            if plan.fetched or plan.asked:
                saving.fetch(raw=True, force_insert=inserts)
            inner(self, save_m2m, using, **options)

    return save


def of_fetching() -> Iterator[Step]:
    """Yield what tells the fetching of a deferred field for several instances, which Django 6.1 has, from assigning."""
    if hasattr(DeferredAttribute, "fetch_many"):
        yield Step(DeferredAttribute, "fetch_many", _fetch_many, "a fetched value is no change", StepOrder.MEMORY)


def _fetch_many(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def fetch_many(self: Any, instances: Any) -> None:
        name = self.field.attname
        fetched = [instance for instance in instances if name not in instance.__dict__]
        inner(self, instances)
        for instance in fetched:
            plan = PLANS.get(type(instance))
            if plan is not None and name in plan.places:
                _measured(instance, plan, [name])

    return fetch_many


def of_parents() -> Iterator[Step]:
    """Yield the step for a multi-table parent that Django makes from the values of its child, without a query.

    The parent then remembers the values of its row that the child remembers.
    """
    reason = "a parent that is made of a child knows what the child knows"
    yield Step(ForwardOneToOneDescriptor, "get_object", _get_object, reason, StepOrder.MEMORY)


def _get_object(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def get_object(self: Any, instance: Any) -> Any:
        found = inner(self, instance)
        plan, of_child = PLANS.get(type(found)), PLANS.get(type(instance))
        if plan is not None and of_child is not None and remembered(found, plan) is None:
            known = dict(zip(of_child.names, recalled(remembered(instance, of_child), instance, of_child), strict=True))
            keys = {name: found.__dict__[name] for name in plan.names[: plan.keys]}
            setattr(found._state, plan.memory, {name: known[name] for name in plan.names if name in known} | keys)
        return found

    return get_object


def of_bulk_writes() -> Iterator[Step]:
    """Yield the steps by which instances that are written in bulk remember the values of their rows."""
    for name, hook in {"bulk_create": _bulk_create, "bulk_update": _bulk_update}.items():
        yield Step(QuerySet, name, hook, "what instances remember is what was written", StepOrder.MEMORY)


def _bulk_create(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def bulk_create(self: Any, objs: Any, *args: Any, **kwargs: Any) -> Any:
        made = inner(self, objs, *args, **kwargs)
        if _inserts_all(*args, **kwargs):
            _stored(made, None, self.db)
        return made

    return bulk_create


def _inserts_all(
    batch_size: Any = None, ignore_conflicts: Any = False, update_conflicts: Any = False, *_: Any, **__: Any
) -> bool:
    """Return whether the rows are what the instances say: where they may be there already, nobody can tell."""
    return not ignore_conflicts and not update_conflicts


def _bulk_update(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def bulk_update(self: Any, objs: Any, fields: Any, *args: Any, **kwargs: Any) -> Any:
        objs, names = tuple(objs), list(fields)
        count = inner(self, objs, names, *args, **kwargs)
        _stored(objs, names, self.db)
        return count

    return bulk_update


def _stored(instances: Collection[Any], names: Collection[str] | None, using: str) -> None:
    for instance in map(without_wrapper, instances):
        plan = PLANS.get(type(instance))
        if plan is not None:
            stored(instance, plan, names, using)
