"""Hooks: the patches of a model that somebody watches, and of the connections that may roll its changes back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import wraps
from typing import Any

from django.core.serializers.base import DeserializedObject
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.query_utils import DeferredAttribute

from heliograph import moments
from heliograph.changes.memory import measured, protect
from heliograph.changes.plans import PLANS, Plan
from heliograph.changes.saving import Saving, running
from heliograph.changes.values import is_immutable
from heliograph.patches import Patch

# --- a model --------------------------------------------------------------------------------------------------


def of_model(model: Any, plan: Plan) -> Iterator[Patch]:
    """Yield what makes the instances of a model remember their rows."""
    yield Patch(model, "from_db", classmethod(_from_db(_inner(model, "from_db"))), "is given the row")
    yield Patch(model, "save_base", _save_base(_inner(model, "save_base")), "goes around the receivers of a save")
    yield Patch(model, "_save_table", _save_table(_inner(model, "_save_table")), "ends when the row is written")
    yield Patch(model, "refresh_from_db", _refresh_from_db(_inner(model, "refresh_from_db")), "reads the row again")
    for field in plan.mutable:
        descriptor = CopiedOnRead(field.attname, plan.columns.index(field), _attribute(model, field.attname))
        yield Patch(model, field.attname, descriptor, "tells whether a value is changed in place")


def _inner(model: Any, name: str) -> Callable[..., Any]:
    """Return the function that a hook goes around: never a hook, since a base of the model may be watched too."""
    found = next(vars(base)[name] for base in model.__mro__ if name in vars(base))
    function = getattr(found, "__func__", found)
    return getattr(function, "_heliograph_inner", function)  # type: ignore[no-any-return]


def _around(inner: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a hook with the name and the signature of what it goes around."""

    def decorate(hook: Any) -> Any:
        hook = wraps(inner)(hook)
        hook._heliograph_inner = inner
        return hook

    return decorate


def _from_db(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def from_db(cls: Any, db: Any, field_names: Any, values: Any, **options: Any) -> Any:
        instance = inner(cls, db, field_names, values, **options)
        # A reference to all values takes no time; those of some fields need their names.
        is_row = len(values) == len(cls._meta.concrete_fields)
        instance._state._heliograph = values if is_row else dict(zip(field_names, values, strict=False))
        return instance

    return from_db


def _save_base(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def save_base(
        self: Any,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
    ) -> Any:
        plan = PLANS.get(type(self))
        if plan is None:  # a subclass of a model that is watched
            return inner(self, raw, force_insert, force_update, using, update_fields)
        using = using or router.db_for_write(type(self), instance=self)
        if plan.writes and update_fields is not None:
            update_fields = set(update_fields)  # which receivers of pre_save add to
        saving = Saving(self, plan, using)
        try:
            if plan.fetched or plan.asked:
                saving.fetch(raw, force_insert)
            return inner(self, raw, force_insert, force_update, using, update_fields)
        finally:
            saving.end()

    return save_base


def _save_table(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def _save_table(
        self: Any,
        raw: bool = False,
        cls: Any = None,
        force_insert: bool = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
    ) -> Any:
        saving = running(self)
        if saving is None and type(self) not in PLANS:
            return inner(self, raw, cls, force_insert, force_update, using, update_fields)
        # Somebody may have called Model.save_base, past that of the model.
        begun = saving or Saving(self, PLANS[type(self)], using or self._state.db)
        try:
            if not begun.absent:  # of several tables, the first to be written tells
                begun.absent = begun.plan.absent_from(self)
            updated = inner(self, raw, cls, force_insert, force_update, using, update_fields)
            if cls is self._meta.concrete_model:  # and not one of its parents, which are written first
                begun.written(not updated, update_fields)
            return updated
        finally:
            if saving is None:
                begun.end()

    return _save_table


def _refresh_from_db(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def refresh_from_db(self: Any, using: Any = None, fields: Any = None, *rest: Any, **options: Any) -> None:
        fields = None if fields is None else list(fields)
        inner(self, using, fields, *rest, **options)
        plan = PLANS.get(type(self))
        if plan is not None:
            queryset = rest[0] if rest else options.get("from_queryset")
            _measured(self, plan, _refreshed(plan, fields, queryset))

    return refresh_from_db


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

    def __init__(self, name: str, column: int, inner: Any) -> None:
        self.name = name
        self.column = column
        self.inner = inner
        self.set_inner = getattr(type(inner), "__set__", None)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is not None:
            value = instance.__dict__.get(self.name)
            if not is_immutable(value):
                protect(instance, self.name, self.column, value)
        return self.inner.__get__(instance, owner)

    def __set__(self, instance: Any, value: Any) -> None:
        if self.set_inner is None:
            instance.__dict__[self.name] = value
        else:
            self.set_inner(self.inner, instance, value)

    def __delete__(self, instance: Any) -> None:
        if self.name not in instance.__dict__:
            raise AttributeError(self.name)
        del instance.__dict__[self.name]


def _attribute(model: Any, name: str) -> Any:
    """Return the descriptor of a field: never ours, since a base of the model may be watched too."""
    found = next(vars(base)[name] for base in model.__mro__ if name in vars(base))
    return found.inner if isinstance(found, CopiedOnRead) else found


# --- what all models share ------------------------------------------------------------------------------------


def of_all_models() -> Iterator[Patch]:
    """Yield what is patched as long as any model is watched."""
    yield from of_connections()
    yield from of_fixtures()
    yield from of_fetching()


def of_connections() -> Iterator[Patch]:
    """Yield what makes connections tell which changes a rollback has undone."""
    for name, hook in {
        "savepoint": _savepoint,
        "savepoint_rollback": _savepoint_rollback,
        "savepoint_commit": _savepoint_commit,
        "commit": _commit,
        "rollback": _rollback,
        "close": _close,
    }.items():
        yield Patch(BaseDatabaseWrapper, name, hook(_inner(BaseDatabaseWrapper, name)), "tells what is rolled back")


def _savepoint(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def savepoint(self: Any) -> Any:
        name = inner(self)
        moments.savepoint_made(self, name)
        return name

    return savepoint


def _savepoint_rollback(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def savepoint_rollback(self: Any, sid: Any) -> None:
        inner(self, sid)
        moments.savepoint_rolled_back(self, sid)

    return savepoint_rollback


def _savepoint_commit(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def savepoint_commit(self: Any, sid: Any) -> None:
        inner(self, sid)
        moments.savepoint_released(self, sid)

    return savepoint_commit


def _commit(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def commit(self: Any) -> None:
        inner(self)
        moments.ended(self, rolled_back=False)

    return commit


def _rollback(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def rollback(self: Any) -> None:
        inner(self)
        moments.ended(self, rolled_back=True)

    return rollback


def _close(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def close(self: Any) -> None:
        try:
            inner(self)
        finally:
            moments.ended(self, rolled_back=True)  # had it been committed, there would be none

    return close


def of_fixtures() -> Iterator[Patch]:
    """Yield what sees rows that are loaded from fixtures, which calls Model.save_base past that of the model."""
    inner = _inner(DeserializedObject, "save")
    yield Patch(DeserializedObject, "save", _save_deserialized(inner), "calls Model.save_base, whatever the model has")


def _save_deserialized(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def save(self: Any, save_m2m: bool = True, using: str | None = None, **options: Any) -> None:
        instance = self.object
        plan = PLANS.get(type(instance))
        if plan is None:
            inner(self, save_m2m, using, **options)
            return
        saving = Saving(instance, plan, using or router.db_for_write(type(instance), instance=instance))
        try:
            if plan.fetched or plan.asked:
                saving.fetch(raw=True, force_insert=options.get("force_insert", False))
            inner(self, save_m2m, using, **options)
        finally:
            saving.end()

    return save


def of_fetching() -> Iterator[Patch]:
    """Yield what tells the fetching of a deferred field for several instances, which Django 6.1 has, from assigning."""
    inner = vars(DeferredAttribute).get("fetch_many")
    if inner is not None:
        yield Patch(DeferredAttribute, "fetch_many", _fetch_many(inner), "a fetched value is no change")


def _fetch_many(inner: Callable[..., Any]) -> Callable[..., Any]:
    @_around(inner)
    def fetch_many(self: Any, instances: Any) -> None:
        name = self.field.attname
        fetched = [instance for instance in instances if name not in instance.__dict__]
        inner(self, instances)
        for instance in fetched:
            plan = PLANS.get(type(instance))
            if plan is not None and name in plan.places:
                _measured(instance, plan, [name])

    return fetch_many
