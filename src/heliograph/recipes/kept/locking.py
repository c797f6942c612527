"""Locking: where the check of a foreign key keeps others from an UPDATE of the parent, parents are locked before.

MariaDB and MySQL take a shared lock on the parent of a new child. Two transactions that have both added a child, and
then both update its parent, wait for each other. So the parent is locked for an update before the child is written: a
new child's parent, and the old and the new parent of a child that moves. A child that exists is always locked before
its parents, and parents in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from heliograph import UNKNOWN, Batch, BeforeWrite, changed, created
from heliograph.recipes.declarations import Declaration
from heliograph.recipes.kept.flushing import lock
from heliograph.recipes.kept.kept_fields import KeptField
from heliograph.signals import pre_save


def is_needed(using: str) -> bool:
    """Return whether the check of a foreign key and an UPDATE of the parent exclude each other on a database."""
    features = connections[using].features
    return bool(features.has_select_for_update and not features.has_select_for_no_key_update)


class Locker:
    """The receiver that locks parents before children are written that refer to them by one foreign key."""

    def __init__(self, kept: KeptField) -> None:
        self.kept = kept
        self.name = kept.cut.key.name
        self.__name__ = self.__qualname__ = f"lock_parents({kept.child._meta.label}.{self.name})"

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Lock the parents of new children, and the old and new parents of children that move."""
        rows = (row for _, old, new in batch.values(self.name) for row in (old, new) if row is not None)
        keys = {value for (value,) in rows} - {None, UNKNOWN}
        if keys:
            lock(self.kept.parent, [*keys], using, column=self.kept.target)


def connect(declaration: Declaration, fields: Sequence[KeptField]) -> None:
    """Let parents be locked before their children are written, on the databases that need it."""
    aliases = [*filter(is_needed, connections)]
    if not aliases:
        return
    for kept in {key: one for one in fields for key in one.links}.values():
        locker = Locker(kept)
        declaration.connect(
            pre_save,
            locker,
            sender=kept.child,
            subclasses=True,
            when=created | changed(locker.name),
            fetch="lock",
            bulk=True,
            using=aliases,
            delivery=BeforeWrite(),
        )
