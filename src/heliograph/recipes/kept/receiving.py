"""Receiving: the receivers of the children of kept fields, and of parents that are written with old values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from heliograph import UNKNOWN, Batch, BeforeCommit, changed, created, raw
from heliograph.recipes.declarations import Declaration
from heliograph.recipes.kept.arithmetic import Row
from heliograph.recipes.kept.flushing import flush_later
from heliograph.recipes.kept.kept_fields import RECOUNT, KeptField
from heliograph.recipes.kept.work import Work, work_of
from heliograph.signals import post_delete, post_save
from heliograph.transactions.batches import SentEvent

Change = tuple[Row | None, Row | None]


class OfChildren:
    """The receiver of the children of one model: it makes the work of a batch of them."""

    def __init__(self, fields: Sequence[KeptField]) -> None:
        self.fields = fields
        self.child = fields[0].child
        self.names = tuple(dict.fromkeys(name for kept in fields for name in kept.columns))
        self.keys = tuple(dict.fromkeys(key.name for kept in fields for key in kept.links))
        self.__name__ = self.__qualname__ = _name(fields)

    def __call__(self, sender: Any, batch: Batch, **kwargs: Any) -> None:
        """Make the work of a batch."""
        events = [event for event in batch.events if self._counts(event)]
        for using in {event.kwargs["using"] for event in events}:
            of_alias = [event for event in events if event.kwargs["using"] == using]
            work = work_of(self.fields, self._changes(of_alias, using))
            work.join([self._of_inherited(of_alias)])
            if work:
                flush_later(using, work, [*self._cached(of_alias, using)])

    def _counts(self, event: Any) -> bool:
        """Return whether an event is about a row of the child's own table.

        A child by inheritance is saved alone, and deleted together with its row of this table.
        """
        return event.kind != "deleted" or event.sender._meta.concrete_model is self.child

    def _changes(self, events: Sequence[Any], using: str) -> Iterator[Change]:
        rows = [(event, *self._rows(event)) for event in events]
        unknown = [event.pk for event, _, new in rows if new is not None and UNKNOWN in new.values()]
        read = self._read(unknown, using) if unknown else {}
        for event, old, new in rows:
            yield old, read.get(event.pk, new)

    def _rows(self, event: Any) -> Change:
        old = None if event.kind == "created" else {name: event.old(name) for name in self.names}
        new = None if event.kind == "deleted" else {name: event.new(name) for name in self.names}
        return old, new

    def _read(self, keys: Sequence[Any], using: str) -> dict[Any, Row]:
        """Query for rows of which only the database knows what was written, such as F("price") + 1."""
        columns = [self.child._meta.get_field(name).attname for name in self.names]  # type: ignore[union-attr]
        rows = self.child._base_manager.using(using).filter(pk__in=keys).values_list("pk", *columns)
        return {key: dict(zip(self.names, values, strict=True)) for key, *values in rows}

    def _of_inherited(self, events: Sequence[Any]) -> Work:
        """Return recounts for rows of a child by inheritance, which is another table.

        Such a row is saved as the inheriting model alone, and deleted as both. So a row that is new there may not be
        new in our table, and one that is deleted from ours may be one whose creation was reported there only.
        """
        work = Work()
        for event in filter(self._is_apart, events):
            old, new = self._rows(event)
            for kept in self.fields:
                if (key := kept.key_of(old or new)) is not None:
                    work.add(kept, key, RECOUNT)
        return work

    def _is_apart(self, event: Any) -> bool:
        """Return whether the creation or deletion of a row is reported in another batch too."""
        if event.kind == "deleted":
            return _has_heirs(self.child)
        return event.kind == "created" and event.sender._meta.concrete_model is not self.child

    def _cached(self, events: Sequence[Any], using: str) -> Iterator[Any]:
        """Yield the parents that written instances have in memory."""
        for event in events:
            if not (isinstance(event, SentEvent) and event.row is None) and event.kind != "created":
                continue  # making the instances of an update() would take a query
            for key in self.keys:
                parent = event.instance._state.fields_cache.get(key)
                if parent is not None and parent._state.db == using:
                    yield parent


def _has_heirs(model: Any) -> bool:
    """Return whether a model has children by inheritance, with tables of their own."""
    return any(getattr(one, "parent_link", False) for one in model._meta.related_objects)


def has_figures(fields: Sequence[KeptField], instance: Any, created: bool, **kwargs: Any) -> bool:
    """Return whether a new parent was written with other values than those of a parent without children."""
    return created and any(instance.__dict__.get(kept.field.attname) != kept.empty for kept in fields)


def of_new_parents(fields: Sequence[KeptField], sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    """Recount a parent that was written with values of before: by a fixture, or as a copy with a key of its own."""
    work = Work()
    for kept in fields:
        work.add(kept, kept.key_of_parent(instance), RECOUNT)
    flush_later(using, work, [instance])


def connect(declaration: Declaration, fields: Sequence[KeptField]) -> None:
    """Connect the receivers of children, and of parents that are written with values of before."""
    for child, of_child in _grouped(fields):
        counting = OfChildren(of_child)
        declaration.connect(
            [post_save, post_delete],
            counting,
            sender=child,
            subclasses=True,
            when=created | changed(*counting.names),
            fetch="lock",
            bulk=True,
            delivery=BeforeCommit(batch=True),
            # The flush may write rows that this receiver was at work on when it caused the flush, in a chain.
            reentrant="allow",
        )
    mending, when = partial(of_new_parents, fields), raw | partial(has_figures, fields)
    declaration.connect(post_save, mending, sender=fields[0].parent, subclasses=True, when=when)


def _grouped(fields: Iterable[KeptField]) -> Iterator[tuple[Any, list[KeptField]]]:
    groups: dict[Any, list[KeptField]] = {}
    for kept in fields:
        groups.setdefault(kept.child, []).append(kept)
    return iter(groups.items())


def _name(fields: Sequence[KeptField]) -> str:
    return f"keep({', '.join(f'{kept.parent._meta.label}.{kept.name}' for kept in fields)})"
