"""Many-to-many relations: the pairs of rows that an operation has really added and removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from django.db import connections, router

from heliograph.bulk.audience import audience_of
from heliograph.bulk.m2m_sides import Pair, Side, sides_of
from heliograph.bulk.sql import locking
from heliograph.bulk.write import in_transaction
from heliograph.changes.plans import is_among
from heliograph.changes.rows import Rows
from heliograph.orm.relations import run_changes_in
from heliograph.orm.savepoint_times import SavepointTime, now
from heliograph.orm.saving import TableWrite
from heliograph.orm.steps import Proceed

# --- operations ---------------------------------------------------------------------------------------------------


class Pairs(NamedTuple):
    """The pairs of a relation that one write has added or removed."""

    time: SavepointTime | None  # the savepoint time of the write; None in autocommit
    relation: tuple[Any, str]  # the model of its rows, and the alias of the database
    pairs: Collection[tuple[Side, Pair]]
    sign: int  # 1 for pairs that were added, -1 for pairs that were removed


class Operation:
    """A change of relations that is sent as one, when it is over: `set()` is a removal and an addition."""

    def __init__(self, raw: bool) -> None:
        self.raw = raw
        self.writes: list[Pairs] = []

    def add(self, through: Any, using: str, pairs: Collection[tuple[Side, Pair]], sign: int) -> None:
        """Keep pairs that were added (sign 1) or removed (sign -1)."""
        self.writes.append(Pairs(now(connections[using]), (through, using), pairs, sign))

    def counts(self) -> dict[tuple[Any, str], Counter[tuple[Side, Pair]]]:
        """Return how often each pair was added minus how often it was removed, without writes that were rolled back."""
        counts: dict[tuple[Any, str], Counter[tuple[Side, Pair]]] = {}
        for time, relation, pairs, sign in self.writes:
            if time is None or not time.is_undone:
                of_relation = counts.setdefault(relation, Counter())
                for side, pair in pairs:
                    if None not in pair:  # a row without one of its two keys is no pair
                        of_relation[side, pair] += sign
        return counts

    def send(self) -> None:
        """Send the pairs that were really added and removed."""
        for (through, using), counts in self.counts().items():
            audience = audience_of(through)
            for side in dict.fromkeys(side for side, _ in counts):
                added = frozenset(pair for (its, pair), count in counts.items() if its == side and count > 0)
                removed = frozenset(pair for (its, pair), count in counts.items() if its == side and count < 0)
                if audience is not None and (added or removed):
                    payload = {"field": side.field, "added": added, "removed": removed, "using": using, "raw": self.raw}
                    audience.send("m2m_changes", through, **payload)


_operation: ContextVar[Operation | None] = ContextVar("heliograph_operation", default=None)


@contextmanager
def operation(using: str, *, raw: bool = False, reads: Any = None) -> Iterator[Operation]:
    """Send all changes of relations in the block as one, in its transaction; or leave that to an outer block.

    `reads` is the model whose rows are read before they are written.
    """
    outer = _operation.get()
    if outer is not None:
        yield outer
        return
    with in_transaction(using, reads):
        one = Operation(raw)
        token = _operation.set(one)
        try:
            yield one
        finally:
            _operation.reset(token)
        one.send()


def collect(rows: Rows) -> None:
    """Add the written rows of a relation, of which there is one at least, to the operation that is under way."""
    sides = sides_of(rows.model)
    with operation(rows.using) as one:
        if rows.kind == "updated":
            before, after = _moved(sides, rows)
            one.add(rows.model, rows.using, before, -1)
            one.add(rows.model, rows.using, after, 1)
        else:
            pairs = [(side, side.pair(instance.__dict__)) for side in sides for instance in rows.instances]
            one.add(rows.model, rows.using, pairs, 1 if rows.kind == "created" else -1)


def _moved(sides: Collection[Side], rows: Rows) -> tuple[list[tuple[Side, Pair]], list[tuple[Side, Pair]]]:
    """Return the pairs of rows before and after an update; none for a relation of which it has set no key."""
    before, after = [], []
    first = rows.comparison(0)
    for side in sides:
        if first is None or first.plan.positions.keys().isdisjoint((side.source, side.target)):
            continue
        for at, instance in enumerate(rows.instances):
            compared = rows.comparison(at)
            if compared is not None:
                names = compared.plan.names
                before.append((side, side.pair(instance.__dict__ | dict(zip(names, compared.old, strict=True)))))
                after.append((side, side.pair(instance.__dict__ | dict(zip(names, compared.new, strict=True)))))
    return before, after


# --- steps --------------------------------------------------------------------------------------------------------


def send_as_one(manager: Any) -> None:
    """Let each method of a manager be one operation, if its relation has an audience."""
    if audience_of(manager.through, "m2m_changes") is not None:
        run_changes_in(partial(_operation_of, manager), manager)


def _operation_of(manager: Any, raw: bool) -> AbstractContextManager[Operation]:
    return operation(router.db_for_write(manager.through, instance=manager.instance), raw=raw)


def record_relation(proceed: Proceed, write: TableWrite) -> Any:
    """Send the pair of a row of a relation that is saved, for which Django sends nothing."""
    instance, using = write.instance, write.using
    if using is None or audience_of(type(instance), "m2m_changes") is None:
        return proceed(write)
    sides, model = sides_of(type(instance)), type(instance)
    with operation(using, raw=write.raw, reads=model if instance._is_pk_set() else None) as one:
        before = _stored(instance, using, sides)
        updated = proceed(write)
        one.add(model, using, before, -1)
        one.add(model, using, _saved(instance, sides, dict(before), write.update_fields), 1)
    return updated


def _stored(instance: Any, using: str, sides: Collection[Side]) -> list[tuple[Side, Pair]]:
    """Return the pairs that a row has before it is saved; none if it is new."""
    if not instance._is_pk_set():
        return []
    rows = locking(type(instance)._base_manager.using(using)).filter(pk=instance.pk).values()
    return [(side, side.pair(row)) for row in rows for side in sides]


def _saved(
    instance: Any, sides: Collection[Side], before: dict[Side, Pair], names: Collection[str] | None
) -> list[tuple[Side, Pair]]:
    """Return the pairs that a row has after it was saved, of which not all fields may have been."""
    written = {one.attname for one in instance._meta.concrete_fields if is_among(one, names)}
    pairs = []
    for side in sides:
        old = dict(zip((side.source, side.target), before.get(side, (None, None)), strict=True))
        now = {name: instance.__dict__.get(name) for name in old if name in written}
        pairs.append((side, side.pair(old | now)))
    return pairs
