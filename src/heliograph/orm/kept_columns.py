"""Kept columns: writes of existing rows leave the columns of some fields as they are, whatever an instance has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache, partial, wraps
from typing import Any
from weakref import finalize

from django.db.backends.base.features import BaseDatabaseFeatures
from django.db.models import F

from heliograph.dispatch.routes import registering
from heliograph.orm import querysets, saving
from heliograph.orm.steps import Hold, Method, PatchLease, Proceed, Step

# The fields that are kept now.
KEPT: dict[Any, None] = {}

# Django 6.0 and later read the value of an expression that a save has written, or defer the field if they cannot.
_READS_EXPRESSIONS = hasattr(BaseDatabaseFeatures, "can_return_rows_from_update")


def keep(field: Any) -> tuple[Hold, ...]:
    """Keep the column of a field, for as long as the results exist."""
    with registering:
        hold = _of_field(field).take()
        if field not in KEPT:
            KEPT[field] = None
            finalize(hold, KEPT.pop, field, None).atexit = False
    return hold, _of_model(field.model).take(), _of_querysets.take()


def kept_among(model: Any, names: Collection[str]) -> list[Any]:
    """Return the kept fields of a model, or of its parents, that are among these names."""
    fields = (field for field in model._meta.concrete_fields if field in KEPT)
    return [field for field in fields if field.name in names or field.attname in names]


def _without(fields: Iterable[Any], names: Iterable[str]) -> list[str]:
    left_out = {name for field in fields for name in (field.name, field.attname)}
    return [name for name in names if name not in left_out]


def _defer(instance: Any, fields: Iterable[Any]) -> None:
    """Let an instance load fields again when they are next read."""
    for field in fields:
        instance.__dict__.pop(field.attname, None)
        if field.is_relation and field.is_cached(instance):
            field.delete_cached_value(instance)


# --- saves --------------------------------------------------------------------------------------------------------


def _pre_save(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def pre_save(model_instance: Any, add: bool) -> Any:
        return run(model_instance, add)

    return pre_save


# Of one field, not of its class. Django calls this for each value that a save writes, but not for a fixture.
pre_save = Method("pre_save", ("keep",), _pre_save)


def _value(field: Any, proceed: Proceed, instance: Any, add: bool) -> Any:
    """Let an UPDATE set a column to itself; an INSERT writes the value that was given."""
    return proceed(instance, add) if add else F(field.name)


@cache
def _of_field(field: Any) -> PatchLease:
    return PatchLease(lambda: [pre_save.step("keep", partial(_value, field), owner=field)])


def _save(proceed: Proceed, save: saving.SaveBase) -> Any:
    """Leave kept fields out of `update_fields`. If nothing else is in it, nothing is saved, as Django has it."""
    names = save.update_fields
    fields = kept_among(type(save.instance), names) if names and not save.raw else ()
    if not fields:
        return proceed(save)
    save.update_fields = frozenset(_without(fields, names or ()))
    result = proceed(save) if save.update_fields else None
    _defer(save.instance, fields)
    return result


def _defer_written(proceed: Proceed, write: saving.TableWrite) -> Any:
    """Defer kept fields after an UPDATE of all fields, but for those whose values Django has read."""
    updated = proceed(write)
    if updated and not write.raw and write.update_fields is None:
        there = write.instance.__dict__ if _READS_EXPRESSIONS else ()
        fields = (field for field in write.cls._meta.local_concrete_fields if field in KEPT)
        _defer(write.instance, [field for field in fields if field.attname not in there])
    return updated


@cache
def _of_model(model: Any) -> PatchLease:
    return PatchLease(partial(_steps_of_model, model))


def _steps_of_model(model: Any) -> Sequence[Step]:
    return [
        saving.save_base.step("keep", _save, owner=model),
        saving.save_table.step("keep", _defer_written, owner=model),
    ]


# --- bulk writes --------------------------------------------------------------------------------------------------


def _bulk_update(proceed: Proceed, update: querysets.BulkUpdate) -> Any:
    """Leave kept fields out of a `bulk_update()`. If nothing else is in it, no row is written."""
    names = update.fields = [*update.fields]
    fields = kept_among(update.queryset.model, names)
    if not fields:
        return proceed(update)
    update.fields, update.instances = _without(fields, names), [*update.instances]
    count = proceed(update) if update.fields else 0
    for instance in update.instances:
        _defer(instance, fields)
    return count


def _bulk_create(proceed: Proceed, create: querysets.BulkCreate) -> Any:
    """Leave kept fields out of the update of an upsert. If nothing else is in it, rows in conflict are ignored."""
    names = [*create.update_fields] if create.update_conflicts and create.update_fields else []
    fields = kept_among(create.queryset.model, names) if names else ()
    if fields:
        create.update_fields = _without(fields, names) or None
        if create.update_fields is None:
            create.ignore_conflicts, create.update_conflicts, create.unique_fields = True, False, None
    elif names:
        create.update_fields = names
    return proceed(create)


def _steps_of_querysets() -> Sequence[Step]:
    return [querysets.bulk_update.step("keep", _bulk_update), querysets.bulk_create.step("keep", _bulk_create)]


_of_querysets = PatchLease(_steps_of_querysets)
