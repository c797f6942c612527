"""Remembering: the steps by which the instances of watched models remember the values of their rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from functools import cache, partial
from typing import Any

from django.db import connections

from heliograph.changes.current import without_wrapper
from heliograph.changes.memory import measured, name_fields, protect, recalled, remembered, stored
from heliograph.changes.plans import PLANS, Plan, Watching
from heliograph.changes.under_way import (
    record_value,
    remember_fixture,
    remember_row,
    remember_save,
    running,
    update_verified,
)
from heliograph.changes.values import is_immutable, may_mutate
from heliograph.orm import loading, querysets, saving
from heliograph.orm.savepoint_times import now
from heliograph.orm.steps import PatchLease, Proceed, Step

# --- a model --------------------------------------------------------------------------------------------------

# A step works for instances of one class only. A call from a subclass just passes through it: a watched subclass has a
# step of its own. A step also belongs to one `Watching`: it has no effect after that, even if a tool still holds it.


def of_model(plan: Plan) -> Iterator[Step]:
    """Yield the steps by which the instances of a model remember their rows."""
    model, watching = plan.model, plan.watching
    yield saving.save_table.step("remember", partial(remember_row, watching), model)
    yield saving.save_base.step("remember", partial(remember_save, watching), model)
    if plan.verifies and plan.locked:
        yield saving.do_update.step("verify", update_verified, model)
    yield loading.refresh_from_db.step("remember", partial(_refresh_from_db, watching), model)
    yield loading.getstate.step("name_fields", partial(_getstate, watching), model)
    watched = plan.fields[: len(plan.fields) - plan.beside]
    for field in filter(may_mutate, watched):
        if inspect.getattr_static(model, field.attname, None) is not None:
            yield loading.reading(field.attname).step("protect", partial(_protect, field.attname), model)
    # The last one, since it begins the memories that the others keep right.
    yield loading.from_db.step("remember", _from_db(plan), model)


def _from_db(plan: Plan) -> Callable[..., None]:
    owner, columns, memory = plan.model, plan.columns, plan.memory

    def remember(instance: Any, field_names: Any, values: Any) -> None:
        nonlocal columns, memory
        if type(instance) is owner:
            if columns is not owner._meta.concrete_fields and (plan_now := plan.watching.plan()) is not None:
                columns, memory = plan_now.columns, plan_now.memory
            # A reference to all values takes no time; values of some fields need the names of these.
            is_row = len(values) == len(columns)
            setattr(instance._state, memory, values if is_row else dict(zip(field_names, values, strict=False)))

    return remember


def _refresh_from_db(watching: Watching, proceed: Proceed, refresh: loading.Refresh) -> None:
    instance = refresh.instance
    plan = watching.plan() if type(instance) is watching.model else None
    if plan is None:
        proceed(refresh)
        return
    if refresh.fields is not None:
        refresh.fields = [*refresh.fields]  # which are read twice
    absent = plan.absent_from(instance)
    proceed(refresh)
    # A model may read more than it was asked for.
    more = [name for name in absent if name in instance.__dict__]
    _measured(instance, plan, [*_refreshed(plan, refresh.fields, refresh.from_queryset), *more])


def _getstate(watching: Watching, proceed: Proceed, instance: Any) -> Any:
    state = proceed(instance)
    plan = watching.plan() if type(instance) is watching.model else None
    if plan is None or not isinstance(state, dict):
        return state
    copied = state.get("_state")
    if copied is not None and copied is not instance._state:  # a model that does not copy it would have it changed
        name_fields(copied, plan)
    return state


def _protect(name: str, instance: Any, value: Any) -> None:
    """Copy what is remembered of a value that may be changed in place, when it is read.

    A copy when the row is loaded would cost every instance what only those pay here of which the value is read.
    """
    plan = None if is_immutable(value) else PLANS.get(type(instance))
    if plan is not None:
        protect(instance, plan, name, value)


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
    return [name for name in plan.positions if (name in deferred) is not is_all_but]


# --- a field with a way of its own to prepare a value ----------------------------------------------------------


@cache
def recording(owner: Any) -> PatchLease:
    """Return the lease of a step that records the results of `pre_save()` of a field class for the running save."""
    return PatchLease(lambda: [loading.pre_save.step("record_value", record_value, owner)])


# --- what all models share ------------------------------------------------------------------------------------


def of_all_models() -> Iterator[Step]:
    """Yield the steps that run while any model is watched."""
    yield saving.save_deserialized.step("remember", remember_fixture)
    if loading.CAN_FETCH_MANY:
        yield loading.fetch_many.step("remember", _fetch_many)
    yield loading.get_object.step("remember", _get_object)
    yield querysets.bulk_create.step("remember", _bulk_create)
    yield querysets.bulk_update.step("remember", _bulk_update)


def _fetch_many(proceed: Proceed, descriptor: Any, instances: Any) -> None:
    """Remember what was fetched: Django assigns it, and a fetched value is no change."""
    name = descriptor.field.attname
    fetched = [instance for instance in instances if name not in instance.__dict__]
    proceed(descriptor, instances)
    for instance in fetched:
        plan = PLANS.get(type(instance))
        if plan is not None and name in plan.positions:
            _measured(instance, plan, [name])


def _get_object(proceed: Proceed, descriptor: Any, instance: Any) -> Any:
    """Let a parent that is made of its child remember the values of its row that the child remembers."""
    found = proceed(descriptor, instance)
    plan, of_child = PLANS.get(type(found)), PLANS.get(type(instance))
    if plan is not None and of_child is not None and remembered(found, plan) is None:
        known = dict(zip(of_child.names, recalled(remembered(instance, of_child), instance, of_child), strict=True))
        keys = {name: found.__dict__[name] for name in plan.names[: plan.keys]}
        setattr(found._state, plan.memory, {name: known[name] for name in plan.names if name in known} | keys)
    return found


def _bulk_create(proceed: Proceed, create: querysets.BulkCreate) -> Any:
    made = proceed(create)
    if not create.ignore_conflicts and not create.update_conflicts:  # otherwise nobody knows what is in the rows
        _stored(made, None, create.queryset.db)
    return made


def _bulk_update(proceed: Proceed, update: querysets.BulkUpdate) -> Any:
    update.instances, update.fields = instances, names = tuple(update.instances), [*update.fields]
    count = proceed(update)
    _stored(instances, names, update.queryset.db)
    return count


def _stored(instances: Collection[Any], names: Collection[str] | None, using: str) -> None:
    since = now(connections[using])
    for instance in map(without_wrapper, instances):
        plan = PLANS.get(type(instance))
        if plan is not None:
            stored(instance, plan, names, since)
