"""Heirs: models that inherit from the model of the children, with tables of their own, and are written otherwise.

Such a row is saved as the inheriting model alone. It may be saved over a row of the child's table that is there, and
whose old parent no signal names: `WrappedItem(item_ptr_id=5, cart=other).save()`. And it may go while this row stays,
by `delete(keep_parents=True)`: if it was also made in the transaction, its net change is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from heliograph import Batch, BeforeWrite, Inline, changed, created
from heliograph.recipes.declarations import Declaration, named
from heliograph.recipes.kept.flushing import flush_later
from heliograph.recipes.kept.kept_fields import RECOUNT, KeptField
from heliograph.recipes.kept.work import State, Work
from heliograph.recipes.parent_locks import locked
from heliograph.signals import post_delete, pre_save


def heirs_of(model: Any) -> Iterator[Any]:
    """Yield the models that inherit from a model, and have tables of their own."""
    return (one.related_model for one in model._meta.related_objects if getattr(one, "parent_link", False))


def recounts(fields: Sequence[KeptField], names: Sequence[str], rows: Iterable[State]) -> Work:
    """Return the recounts of all parents of rows, which have the values of the fields with these names."""
    work = Work()
    for state in rows:
        row = dict(zip(names, state, strict=True))
        for kept in fields:
            if (key := kept.key_of(row)) is not None:
                work.add(kept, key, RECOUNT)
    return work


class OfHeirs:
    """The receivers of rows of heirs, at each write of a transaction: they recount the parents of these rows."""

    def __init__(self, fields: Sequence[KeptField], names: Sequence[str]) -> None:
        self.fields = fields
        self.names = names
        self.child: Any = fields[0].child
        self.columns = [self.child._meta.get_field(name).attname for name in names]  # type: ignore[union-attr]

    def before(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Recount the old parents of rows over which new rows of an heir are about to be saved."""
        keys = [getattr(one, self.child._meta.pk.attname) for one in batch.instances]
        there = [key for key in keys if key is not None]
        rows = locked(self.child, there, using, names=self.columns) if there else ()
        self._recount((row[:-1] for row in rows), using)

    def deleted(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Recount the parents of rows of an heir that are deleted: the rows of the child's table may stay."""
        self._recount((old for _, old, _ in batch.values(*self.names) if old is not None), using)

    def _recount(self, rows: Iterable[State], using: str) -> None:
        work = recounts(self.fields, self.names, rows)
        if work:
            flush_later(using, work)

    def connect(self, declaration: Declaration, name: str) -> None:
        """Connect the receivers to the heirs."""
        for heir in heirs_of(self.child):
            of_heir: dict[str, Any] = {"sender": heir, "subclasses": True}
            declaration.connect(pre_save, named(name, self.before), **of_heir, when=created, delivery=BeforeWrite())
            declaration.connect(
                post_delete,
                named(name, self.deleted),
                **of_heir,
                when=changed(*self.names),
                fetch="lock",
                bulk=True,
                delivery=Inline(batch=True),
            )
