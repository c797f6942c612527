"""Receiving: the receivers of the children of kept fields, and of parents that are written with old values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

from heliograph import UNKNOWN, Batch, BeforeCommit, changed, created, raw
from heliograph.recipes.cached_parents import cached_parents
from heliograph.recipes.declarations import Declaration, named
from heliograph.recipes.kept.flushing import flush_later
from heliograph.recipes.kept.heirs import OfHeirs, heirs_of, recounts
from heliograph.recipes.kept.kept_fields import RECOUNT, KeptField, name_of
from heliograph.recipes.kept.moved_parents import OfMovedParents
from heliograph.recipes.kept.work import Counted, State, Work, counted, has_unknown, work_of
from heliograph.signals import post_delete, post_save

Values = tuple[Any, State | None, State | None]  # of a child: its primary key, and its row before and after


class OfChildren:
    """The receiver of the children of one model: it makes the work of a batch of them."""

    def __init__(self, fields: Sequence[KeptField]) -> None:
        self.fields = fields
        self.child = fields[0].child
        self.names = tuple(dict.fromkeys(name for kept in fields for name in kept.columns))
        self.keys = tuple(dict.fromkeys(key.name for kept in fields for key in kept.links))
        self.__name__ = self.__qualname__ = name_of(fields)

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Make the work of a batch, whose rows are of one table: the child's, or that of a child by inheritance.

        Such a child is saved alone, and deleted together with its row of the child's table.
        """
        rows, is_own = batch.values(*self.names), sender._meta.concrete_model is self.child
        if not is_own:
            rows = [row for row in rows if row[2] is not None]
        fields = {kept: kept.adds_on(using) for kept in self.fields}
        work = work_of(fields, self.names, self._pairs(rows, using))
        work.join([self._of_inherited(rows, is_own)])
        if work:
            flush_later(using, work, [*cached_parents(batch.sent_instances, self.keys, using)])

    def _pairs(self, rows: Sequence[Values], using: str) -> Counted:
        pairs = counted([*map(itemgetter(1, 2), rows)])
        if not has_unknown(new for (_, new), _ in pairs):
            return pairs
        read = self._read([key for key, _, new in rows if new is not None and UNKNOWN in new], using)
        return counted([(self._with_key(old, read.get(key)), read.get(key, new)) for key, old, new in rows])

    def _with_key(self, old: State | None, new: State | None) -> State | None:
        """Return a row with its foreign keys from the row after, where an update has not set them and not read them."""
        if old is None or new is None or UNKNOWN not in old:
            return old
        known = zip(self.names, old, new, strict=True)
        return tuple(after if name in self.keys and before is UNKNOWN else before for name, before, after in known)

    def _read(self, keys: Sequence[Any], using: str) -> dict[Any, State]:
        """Query for rows of which only the database knows what was written, such as F("price") + 1."""
        columns = [self.child._meta.get_field(name).attname for name in self.names]  # type: ignore[union-attr]
        rows = self.child._base_manager.using(using).filter(pk__in=keys).values_list("pk", *columns)
        return {key: tuple(values) for key, *values in rows}

    def _of_inherited(self, rows: Sequence[Values], is_own: bool) -> Work:
        """Return recounts for rows of a child by inheritance, which is another table.

        Such a row is saved as the inheriting model alone, and deleted as both. So a row that is new there may not be
        new in our table, and one that is deleted from ours may be one whose creation was reported there only.
        """
        if is_own and not any(heirs_of(self.child)):
            return Work()
        found = (old or new for _, old, new in rows if (new if is_own else old) is None)
        return recounts(self.fields, self.names, (state for state in found if state is not None))


def has_figures(fields: Sequence[KeptField], instance: Any, created: bool, **kwargs: Any) -> bool:
    """Return whether a new parent was written with other values than those of a parent without children."""
    return created and any(instance.__dict__.get(kept.field.attname) != kept.empty for kept in fields)


def of_new_parents(fields: Sequence[KeptField], sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    """Recount a new parent that was written with old figures: by a fixture, or as a copy with a key of its own."""
    work = Work()
    for kept in fields:
        work.add(kept, kept.key_of_parent(instance), RECOUNT)
    flush_later(using, work, [instance])


def connect(declaration: Declaration, fields: Sequence[KeptField]) -> None:
    """Connect the receivers of children, and of parents that are written with values of before."""
    for of_child in _grouped(fields, attrgetter("child")):
        counting = OfChildren(of_child)
        declaration.connect(
            [post_save, post_delete],
            counting,
            sender=counting.child,
            subclasses=True,
            when=created | changed(*counting.names),
            fetch="lock",
            bulk=True,
            delivery=BeforeCommit(batch=True),
            # The flush may write rows which this receiver is handling already, since the receiver itself has caused the
            # flush.
            reentrant="allow",
        )
        OfHeirs(of_child, counting.names).connect(declaration, counting.__name__)
    mending = named(name_of(fields), partial(of_new_parents, fields))
    when = raw | partial(has_figures, fields)
    declaration.connect(post_save, mending, sender=fields[0].parent, subclasses=True, when=when)
    for alike in _grouped(fields, attrgetter("key_columns")):
        OfMovedParents(alike).connect(declaration, name_of(alike))


def _grouped(fields: Iterable[KeptField], by: Callable[[KeptField], Any]) -> Iterator[list[KeptField]]:
    groups: dict[Any, list[KeptField]] = {}
    for kept in fields:
        groups.setdefault(by(kept), []).append(kept)
    return iter(groups.values())
