"""Saving: the methods of Django through which every save goes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.core.serializers.base import DeserializedObject

from heliograph.orm.steps import Method, Proceed

# --- Model.save_base ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SaveBase:
    """A call of `Model.save_base`: it sends pre_save, writes the row, and sends post_save."""

    instance: Any
    raw: bool
    force_insert: Any
    force_update: bool
    using: str | None
    update_fields: Collection[str] | None
    others: dict[str, Any] = field(default_factory=dict)  # what the method of a model takes beyond Django's


def _call_save_base(inner: Proceed, heir: Any, save: SaveBase) -> Any:
    # By name, and as Model.save() names them: the method of a model may have fewer parameters.
    named: dict[str, Any] = {
        "using": save.using,
        "force_insert": save.force_insert,
        "force_update": save.force_update,
        "update_fields": save.update_fields,
        **save.others,
    }
    if save.raw:
        named["raw"] = True
    return inner(save.instance, **named) if heir is None else super(heir, save.instance).save_base(**named)


def _save_base(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def save_base(
        self: Any,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
        **others: Any,
    ) -> Any:
        return run(SaveBase(self, raw, force_insert, force_update, using, update_fields, others))

    return save_base


save_base = Method("save_base", ("observe", "keep", "remember", "autocommit_save"), _save_base, call=_call_save_base)

# --- Model._save_table --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class TableWrite:
    """A call of `Model._save_table`: it writes one row; the row of a child has one in each table of its parents."""

    instance: Any
    raw: bool
    cls: Any
    force_insert: bool
    force_update: bool
    using: str | None
    update_fields: Collection[str] | None
    is_last: bool  # whether this is the model's own table: the tables of its parents are written before


def _call_save_table(inner: Proceed, heir: Any, write: TableWrite) -> Any:
    arguments = (write.raw, write.cls, write.force_insert, write.force_update, write.using, write.update_fields)
    if heir is None:
        return inner(write.instance, *arguments)
    return super(heir, write.instance)._save_table(*arguments)


def _save_table(inner: Proceed, run: Proceed) -> Proceed:
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
        is_last = cls is self._meta.concrete_model
        return run(TableWrite(self, raw, cls, force_insert, force_update, using, update_fields, is_last))

    return _save_table


_STEPS_OF_TABLE = ("join_transaction", "record_relation", "remember", "before_write", "keep")
save_table = Method("_save_table", _STEPS_OF_TABLE, _save_table, call=_call_save_table)

# --- Model._do_update ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class RowUpdate:
    """A call of `Model._do_update`: the UPDATE of a save, which finds no row if there is none."""

    instance: Any
    rows: Any  # the queryset of all rows of the model
    using: str
    key: Any
    values: list[Any]
    others: tuple[Any, ...]  # the further arguments, of which later versions of Django have more


def _call_do_update(inner: Proceed, heir: Any, update: RowUpdate) -> Any:
    arguments = (update.rows, update.using, update.key, update.values, *update.others)
    return inner(update.instance, *arguments) if heir is None else super(heir, update.instance)._do_update(*arguments)


def _do_update(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def _do_update(self: Any, base_qs: Any, using: str, pk_val: Any, values: list[Any], *others: Any) -> Any:
        return run(RowUpdate(self, base_qs, using, pk_val, values, others))

    return _do_update


do_update = Method("_do_update", ("verify",), _do_update, call=_call_do_update)

# --- fixtures -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class FixtureSave:
    """A call of `DeserializedObject.save`, which calls `Model.save_base` past the method of the model."""

    loaded: Any  # the DeserializedObject
    save_m2m: bool
    using: str | None
    options: dict[str, Any]


def _call_save_deserialized(inner: Proceed, heir: Any, save: FixtureSave) -> Any:
    return inner(save.loaded, save.save_m2m, save.using, **save.options)


def _save_deserialized(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def save(self: Any, save_m2m: bool = True, using: str | None = None, **options: Any) -> Any:
        return run(FixtureSave(self, save_m2m, using, options))

    return save


save_deserialized = Method("save", ("remember",), _save_deserialized, DeserializedObject, _call_save_deserialized)
