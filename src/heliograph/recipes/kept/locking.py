"""Locking: where the check of a foreign key keeps others from an UPDATE of the parent, parents are locked before.

MariaDB and MySQL take a shared lock on the parent of a new child. Two transactions that have both added a child, and
then both update its parent, wait for each other. So the parent is locked for an update before the child is written: a
new child's parent, and the old and the new parent of a child that moves. A child that exists is always locked before
its parents, and parents in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connections

from heliograph import UNKNOWN, changes_of
from heliograph.orm.saving import TableWrite, save_table
from heliograph.orm.steps import Proceed, join, leave
from heliograph.recipes.declarations import Declaration
from heliograph.recipes.kept.flushing import lock
from heliograph.recipes.kept.kept_fields import KeptField
from heliograph.signals import pre_bulk_create, pre_bulk_update, pre_update


def is_needed(using: str) -> bool:
    """Return whether the check of a foreign key and an UPDATE of the parent exclude each other on a database."""
    features = connections[using].features
    return bool(features.has_select_for_update and not features.has_select_for_no_key_update)


class Locker:
    """Locks the parents of one kind before children of one model are written."""

    def __init__(self, kept: KeptField) -> None:
        self.kept = kept
        self.key = kept.cut.key

    def before_save(self, proceed: Proceed, write: TableWrite) -> Any:
        """Lock the parents of a child that is new, or that moves."""
        instance, using = write.instance, write.using
        if using is not None and is_needed(using) and write.cls._meta.concrete_model is self.kept.child:
            new = getattr(instance, self.key.attname)
            change = changes_of(instance, self.key.name).get(self.key.name)
            if instance._state.adding or change is not None:
                self.lock([new, change.old if change else None], using)
        return proceed(write)

    def before_bulk_create(self, sender: Any, instances: Iterable[Any], using: str, **kwargs: Any) -> None:
        """Lock the parents of many new children."""
        if is_needed(using):
            self.lock([getattr(one, self.key.attname) for one in instances], using)

    def before_update(self, sender: Any, queryset: Any, values: Mapping[str, Any], using: str, **kwargs: Any) -> None:
        """Lock children that an update moves, and then their old and new parents."""
        names = {self.key.name, self.key.attname} & {*values}
        if is_needed(using) and names:
            news = [getattr(value, self.kept.target, value) for value in map(values.__getitem__, names)]
            self.lock([*self._olds(queryset), *news], using)

    def before_bulk_update(
        self, sender: Any, instances: Iterable[Any], update_fields: Iterable[str], using: str, **kwargs: Any
    ) -> None:
        """Lock children that may move, and then their old and new parents."""
        if is_needed(using) and {self.key.name, self.key.attname} & {*update_fields}:
            rows = self.kept.child._base_manager.using(using).filter(pk__in=[one.pk for one in instances])
            self.lock([*self._olds(rows), *(getattr(one, self.key.attname) for one in instances)], using)

    def _olds(self, rows: Any) -> list[Any]:
        return [*rows.order_by("pk").select_for_update(of=()).values_list(self.key.attname, flat=True)]

    def lock(self, values: Iterable[Any], using: str) -> None:
        """Lock the parents that these values of the foreign key refer to."""
        known = [one for one in dict.fromkeys(values) if one is not None and one is not UNKNOWN]
        plain = [one for one in known if not hasattr(one, "resolve_expression")]
        if plain:
            lock(self.kept.parent, plain, using, column=self.kept.target)


def connect(declaration: Declaration, fields: Sequence[KeptField]) -> None:
    """Let parents be locked before their children are written."""
    for kept in {key: one for one in fields for key in one.links}.values():
        locker = Locker(kept)
        step = save_table.step("before_write", locker.before_save, owner=kept.child)
        join([step])
        declaration.undone_by(leave, [step])
        for signal, receiver in (
            (pre_bulk_create, locker.before_bulk_create),
            (pre_update, locker.before_update),
            (pre_bulk_update, locker.before_bulk_update),
        ):
            declaration.connect(signal, receiver, sender=kept.child, subclasses=True)
