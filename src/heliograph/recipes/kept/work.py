"""Work: by how much the parents of a transaction change, joined and in the order in which they are locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

from heliograph import UNKNOWN
from heliograph.recipes.kept.kept_fields import RECOUNT, KeptField

State = tuple[Any, ...]  # the values of a child
Pair = tuple[State | None, State | None]  # a child before and after; None where there was no row
Counted = Collection[tuple[Pair, int]]  # different pairs, and how many children have each
Numbers = Mapping[State, int]  # how many rows have the same values
Deltas = dict[KeptField, Any]  # for each kept field a number, what comes to an extreme, or RECOUNT


@dataclass
class Work:
    """What is to be done with parents: for each, what is added to which kept field, or that it is recounted."""

    parents: dict[tuple[Any, str], dict[Any, Deltas]] = field(default_factory=dict)  # by model and column, then by key

    def add(self, kept: KeptField, key: Any, what: Any) -> None:
        """Add a delta, or a recount, which outweighs all deltas."""
        deltas = self.parents.setdefault((kept.parent, kept.target), {}).setdefault(key, {})
        total = deltas.get(kept, 0)
        if what is RECOUNT or total is RECOUNT:
            deltas[kept] = RECOUNT
        else:
            total += what
            deltas[kept] = total

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


def counted(pairs: Sequence[Pair]) -> Counted:
    """Return how many children have each pair; each one by itself, if a value has no hash, as a list."""
    try:
        return Counter(pairs).items()
    except TypeError:
        return [(pair, 1) for pair in pairs]


def work_of(fields: Mapping[KeptField, bool], names: Sequence[str], pairs: Counted) -> Work:
    """Return the work on kept fields that follows from changes of children; equal changes are computed once.

    `fields` says of each whether numbers are added to it on the database; otherwise it is recounted. A change is a pair
    of rows, before and after, which have the values of the fields with these names.
    """
    work = Work()
    for kept, adds in fields.items():
        grown = _grown(_picker(names, kept.columns), pairs) if adds else None
        if grown is not None:
            _add_sums(work, kept, grown)
        else:
            _add_each(work, kept, names, pairs, adds=adds)
    return work


def has_unknown(rows: Iterable[State | None]) -> bool:
    """Return whether a value in one of the rows is not known."""
    return type(UNKNOWN) in {*map(type, chain.from_iterable(filter(None, rows)))}


def _grown(pick: Callable[[State], State], pairs: Counted) -> Numbers | None:
    """Return, by the values that matter for a field, by how much the number of rows with these values has grown.

    None if a value is not known, or has no hash, as a list.
    """
    grown: dict[State, int] = {}
    try:
        for sides, number in pairs:
            for row, sign in zip(sides, (-number, number), strict=True):
                if row is not None:
                    state = pick(row)
                    grown[state] = grown.get(state, 0) + sign
    except TypeError:
        return None
    return None if has_unknown(grown) else grown


def _add_sums(work: Work, kept: KeptField, grown: Numbers) -> None:
    """Add by how much the rows after contribute more than the rows before."""
    sums: dict[Any, Any] = {}
    for state, number in grown.items():
        if number:
            row = dict(zip(kept.columns, state, strict=True))
            key = kept.key_of(row)
            total = sums.get(key, 0)
            total += number * kept.contribution(row)  # type: ignore[misc]  # there is one
            sums[key] = total
    for key, what in sums.items():
        if what and key is not None:
            work.add(kept, key, what)


def _picker(names: Sequence[str], columns: Sequence[str]) -> Callable[[State], State]:
    positions = [*map(names.index, columns)]
    return itemgetter(*positions) if len(positions) > 1 else lambda row: (row[positions[0]],)


def _add_each(work: Work, kept: KeptField, names: Sequence[str], pairs: Counted, *, adds: bool) -> None:
    """Add what each change makes of a field."""
    for pair, number in pairs:
        old, new = (None if row is None else dict(zip(names, row, strict=True)) for row in pair)
        for key, what in kept.work(old, new, adds=adds):
            work.add(kept, key, what if what is RECOUNT else number * what)
