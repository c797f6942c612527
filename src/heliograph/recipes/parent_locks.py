"""Parent locks: where the check of a foreign key keeps others from an UPDATE of the parent, parents are locked before.

MariaDB and MySQL take a shared lock on the parent of a new child. Two transactions that have both added a child, and
then both update its parent, wait for each other. So the parent is locked for an update before the child is written: a
new child's parent, and the old and the new parent of a child that moves. A child that exists is always locked before
its parents, and parents in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections

from heliograph import UNKNOWN, Batch, BeforeWrite, changed, created
from heliograph.recipes.declarations import Declaration
from heliograph.signals import pre_save


def lock_before_writes(declaration: Declaration, parents: Mapping[Any, Any]) -> None:
    """Let parents, whose model is given for each foreign key, be locked before children are written that refer to them.

    On databases that do not need it nothing is connected.
    """
    aliases = [*filter(is_needed, connections)]
    for key, parent in parents.items() if aliases else ():
        declaration.connect(
            pre_save,
            Locker(key, parent),
            sender=key.model,
            subclasses=True,
            when=created | changed(key.name),
            fetch="lock",
            bulk=True,
            using=aliases,
            delivery=BeforeWrite(),
        )


def is_needed(using: str) -> bool:
    """Return whether the check of a foreign key and an UPDATE of the parent exclude each other on a database."""
    features = connections[using].features
    return bool(features.has_select_for_update and not features.has_select_for_no_key_update)


class Locker:
    """The receiver that locks parents before children are written that refer to them by one foreign key."""

    def __init__(self, key: Any, parent: Any) -> None:
        self.key, self.parent = key, parent
        self.__name__ = self.__qualname__ = f"lock_parents({key.model._meta.label}.{key.name})"

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Lock the parents of new children, and the old and new parents of children that move."""
        rows = (row for _, old, new in batch.values(self.key.name) for row in (old, new) if row is not None)
        keys = {value for (value,) in rows} - {None, UNKNOWN}
        if keys:
            lock(self.parent, [*keys], using, column=self.key.target_field.attname)


def lock(parent: Any, keys: Sequence[Any], using: str, column: str = "pk") -> None:
    """Lock parents in the order of their keys, where a database locks rows.

    On PostgreSQL `FOR NO KEY UPDATE` goes along with the lock that the foreign key of a new child takes.
    """
    features = connections[using].features
    if features.has_select_for_update:
        rows = parent._base_manager.using(using).filter(**{f"{column}__in": keys}).order_by("pk")
        list(rows.select_for_update(no_key=features.has_select_for_no_key_update).values_list("pk"))
