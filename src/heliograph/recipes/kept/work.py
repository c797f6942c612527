"""Work: by how much the parents of a transaction change, joined and in the order in which they are locked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from heliograph.recipes.kept.arithmetic import Row
from heliograph.recipes.kept.kept_fields import RECOUNT, KeptField

Deltas = dict[KeptField, Any]  # a number for each kept field, or RECOUNT


@dataclass
class Work:
    """What is to be done with parents: for each, what is added to which kept field, or that it is recounted."""

    parents: dict[tuple[Any, str], dict[Any, Deltas]] = field(default_factory=dict)  # by model and column, then by key

    def add(self, kept: KeptField, key: Any, what: Any) -> None:
        """Add a delta, or a recount, which outweighs all deltas."""
        deltas = self.parents.setdefault((kept.parent, kept.target), {}).setdefault(key, {})
        before = deltas.get(kept, 0)
        deltas[kept] = RECOUNT if what is RECOUNT or before is RECOUNT else before + what

    def join(self, others: Iterable[Work]) -> Work:
        """Add what is in others."""
        for other in others:
            for kept, key, what in other:
                self.add(kept, key, what)
        return self

    def __iter__(self) -> Iterator[tuple[KeptField, Any, Any]]:
        for by_key in self.parents.values():
            for key, deltas in by_key.items():
                for kept, what in deltas.items():
                    yield kept, key, what

    def net(self) -> Work:
        """Return the work without the deltas that have cancelled each other."""
        left = Work()
        for kept, key, what in self:
            if what is RECOUNT or what:
                left.add(kept, key, what)
        return left

    def __bool__(self) -> bool:
        return any(self.parents.values())


def work_of(fields: Iterable[KeptField], changes: Iterable[tuple[Row | None, Row | None]]) -> Work:
    """Return what the changes of children, each a row before and after, make of the kept fields."""
    work, fields = Work(), [*fields]
    for old, new in changes:
        for kept in fields:
            for key, what in kept.work(old, new):
                work.add(kept, key, what)
    return work
