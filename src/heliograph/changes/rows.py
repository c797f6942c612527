"""Rows that one statement has created, updated or deleted, with their old and new values."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from operator import ne
from typing import Any, ClassVar, Literal

from heliograph.changes.chunks import in_chunks
from heliograph.changes.columns import Columns, Constant, RowOf, Source
from heliograph.changes.comparing import Comparison
from heliograph.changes.current import without_wrapper
from heliograph.changes.plans import Plan, plan_for
from heliograph.changes.values import is_same

Kind = Literal["created", "updated", "deleted"]
Triple = tuple[Any, Any, Any]  # a primary key, an old value and a new one
Table = Sequence[Sequence[Any]]


class Rows(ABC):
    """Rows that one statement has written, all in the same way."""

    kind: ClassVar[Kind]
    model: Any
    using: str  # the alias of the database
    update_fields: frozenset[str] | None  # the names of the fields that were written, or None for all
    pks: Sequence[Any]  # the primary key of each
    instances: Sequence[Any]  # an instance of each

    @abstractmethod
    def comparison(self, at: int) -> Comparison | None:
        """Compare one row before and after; None if the row is new."""

    @abstractmethod
    def changes(self, name: str) -> list[Triple]:
        """Return the primary key, the old and the new value of a field, where these differ."""

    @abstractmethod
    def positions_of_changes(self, names: Collection[str]) -> Sequence[int]:
        """Return the indexes of the rows in which one of these fields has changed."""

    @abstractmethod
    def only(self, positions: Sequence[int]) -> Rows:
        """Return the rows at these positions."""

    def __len__(self) -> int:
        return len(self.pks)


class Whole(Rows):
    """Rows that were created or deleted, and so have only new or only old values."""

    update_fields = None

    def changes(self, name: str) -> list[Triple]:
        return []


@dataclass(frozen=True, eq=False, repr=False)
class Created(Whole):
    """Rows that are new."""

    kind = "created"

    model: Any
    using: str
    made: Sequence[Any]
    pks: Sequence[Any]

    @classmethod
    def of(cls, model: Any, using: str, made: Sequence[Any]) -> Created:
        """Return the rows of these instances, with the keys that they have now: others may change the instances."""
        return cls(model, using, [*made], [normal_key(one) for one in made])

    @cached_property
    def instances(self) -> Sequence[Any]:  # type: ignore[override]  # computed, where the base has an attribute
        return [*map(with_key, self.made, self.pks)]

    def comparison(self, at: int) -> None:
        return None

    def positions_of_changes(self, names: Collection[str]) -> Sequence[int]:
        return ()

    def only(self, positions: Sequence[int]) -> Rows:
        return replace(self, made=[self.made[at] for at in positions], pks=[self.pks[at] for at in positions])


@dataclass(frozen=True, eq=False, repr=False)
class Deleted(Whole):
    """Rows that are gone."""

    kind = "deleted"

    model: Any
    using: str
    pks: Sequence[Any]
    values: Sequence[Any]  # the columns of each row as the database has sent them, or its instance

    @cached_property
    def instances(self) -> Sequence[Any]:  # type: ignore[override]  # computed, where the base has an attribute
        are_made = bool(self.values) and isinstance(self.values[0], self.model)
        return self.values if are_made else instances_of(self.model, self.using, self.values)

    def comparison(self, at: int) -> Comparison:
        return Comparison(self._plan, self._plan.values_of(self.values[at]), self._plan.nothing)

    @cached_property
    def _plan(self) -> Plan:
        """A plan of all fields, watched or not."""
        options = self.model._meta
        return plan_for(self.model, [one for one in options.concrete_fields if one not in options.pk_fields])

    def positions_of_changes(self, names: Collection[str]) -> Sequence[int]:
        return range(len(self))

    def only(self, positions: Sequence[int]) -> Rows:
        return replace(self, pks=[self.pks[at] for at in positions], values=[self.values[at] for at in positions])


@dataclass(frozen=True, eq=False, repr=False)
class Updated(Rows):
    """Rows that were there before, with the primary key of each and its old and new values.

    Ten thousand rows stay as the database has sent them, until somebody asks for a value.
    """

    kind = "updated"

    model: Any
    using: str
    update_fields: frozenset[str]
    plan: Plan  # the primary key and the fields whose values are known
    table: Columns  # the primary key and the old values, followed by new ones
    sources: Sequence[Source]  # where the values of the plan are after the write; a kept value is in the old column
    given: Sequence[Any] | None = None  # the instances, where somebody has them

    @classmethod
    def of(cls, model: Any, using: str, update_fields: frozenset[str], plan: Plan, table: Table) -> Updated:
        """Return the rows of a table in which the new values of all fields follow the old ones."""
        return cls(model, using, update_fields, plan, Columns(table), _following(plan))

    def __len__(self) -> int:
        return len(self.table.sent)

    @cached_property
    def pks(self) -> Sequence[Any]:  # type: ignore[override]  # computed, where the base has an attribute
        keys = [self.table[at] for at in range(self.plan.keys)]
        return keys[0] if len(keys) == 1 else [*zip(*keys, strict=True)]

    @cached_property
    def instances(self) -> Sequence[Any]:  # type: ignore[override]  # computed, where the base has an attribute
        """An instance of each row, loaded all at once; if the row is gone by now, an instance of the known values."""
        if self.given is not None:
            return self.given
        news = [RowOf(self.table, self.sources, at) for at in range(len(self.table.sent))]
        known = [dict(zip(self.plan.names, row, strict=True)) for row in news]
        keys = [_key([row[key.attname] for key in self.plan.fields[: self.plan.keys]]) for row in known]
        found = loaded(self.model, self.using, keys)
        return [found[key] if key in found else self._bare(row) for key, row in zip(keys, known, strict=True)]

    def _bare(self, row: dict[str, Any]) -> Any:
        """Return an instance with the values that are known, and the others deferred."""
        names = [field.attname for field in self.model._meta.concrete_fields if field.attname in row]
        return self.model.from_db(self.using, names, [row[name] for name in names])

    def comparison(self, at: int) -> Comparison:
        old = RowOf(self.table, range(len(self.plan.fields)), at)
        return Comparison(self.plan, old, RowOf(self.table, self.sources, at), self._written)

    @cached_property
    def _written(self) -> frozenset[str]:
        """The names of the fields that may have changed, with generated ones."""
        return self.update_fields.union(field.name for field in self.plan.fields)

    def full_table(self) -> Table:
        """Return the rows with the old values of all fields, followed by the new ones."""
        values = [self._values(position) for position in range(len(self.plan.fields))]
        after = [new for _, new in values[self.plan.keys :]]
        return [*zip(*(old for old, _ in values), *after, strict=True)]

    def only(self, positions: Sequence[int]) -> Updated:
        if len(positions) == len(self.table.sent):
            return self
        given = None if self.given is None else [self.given[at] for at in positions]
        return replace(self, table=self.table.only(positions), given=given)

    def positions_of_changes(self, names: Collection[str]) -> Sequence[int]:
        if self.plan.presented:
            return [at for at in range(len(self)) if self.comparison(at).differs(names)]
        found = {self.plan.positions.get(name, 0) for name in names}  # 0 is a part of the key
        # The others keep their values.
        positions = [at for at in found if at >= self.plan.keys and self.sources[at] != at]
        if len(positions) == 1:
            return [at for at, differs in enumerate(self._differ(*positions)) if differs]
        columns = zip(*map(self._differ, positions), strict=True)
        return [at for at, differ in enumerate(columns) if any(differ)]

    def changes(self, name: str) -> list[Triple]:
        position = self._position(name)
        if position is None or (self.sources[position] == position and not self.plan.presented):
            return []
        if position in self.plan.presented:
            changes = (self.comparison(at).change(position) for at in range(len(self)))
            return [(key, *change) for key, change in zip(self.pks, changes, strict=True) if change is not None]
        rows = zip(self.pks, *self._values(position), self._differ(position), strict=True)
        return [(key, old, new) for key, old, new, differs in rows if differs]

    def _position(self, name: str) -> int | None:
        """Return where in the plan the field with this name is, if its values are known; not where it is the key."""
        position = self.plan.positions.get(name, 0)
        return position if position >= self.plan.keys else None

    def _differ(self, position: int) -> Iterator[bool]:
        """Yield for each row whether the value of the field at a position of the plan is another one."""
        old, new = self._values(position)
        # Two values of such a field may be equal in Python, and not in the database.
        if position in self.plan.changeable:
            field = self.plan.fields[position]
            return (not is_same(field, *values) for values in zip(old, new, strict=True))
        return map(ne, old, new)

    def _values(self, position: int) -> tuple[Iterable[Any], Iterable[Any]]:
        """Return the old and the new values of the field at a position of the plan."""
        old, source = self.table[position], self.sources[position]
        return old, repeat(source.value, len(old)) if isinstance(source, Constant) else self.table[source]


def _following(plan: Plan) -> Sequence[Source]:
    """Return where the values are in rows where new values follow the old ones; the primary key is as before."""
    size = len(plan.fields)
    return (*range(plan.keys), *range(size, 2 * size - plan.keys))


def normal_key(instance: Any) -> Any:
    """Return the primary key of an instance as the database gives it, also where it was given as a text."""
    return normalised(instance, instance.pk)


def normalised(model: Any, key: Any) -> Any:
    """Return a primary key of a model as the database gives it."""
    fields = model._meta.pk_fields
    parts = key if len(fields) > 1 else (key,)
    try:
        values = [field.to_python(part) for field, part in zip(fields, parts, strict=True)]
        return values[0] if len(values) == 1 else tuple(values)
    except Exception:  # of an expression, say: whatever a field raises, the key is what it is
        return key


def with_key(instance: Any, key: Any) -> Any:
    """Return an instance with a primary key that it has had: itself if it has it still, else a shallow copy."""
    if key is None or instance.pk == key or normal_key(instance) == key:
        return instance
    instance = without_wrapper(instance)
    copied: Any = object.__new__(type(instance))  # past Model.__reduce__, which asks the registry for the model
    copied.__dict__.update(instance.__dict__)
    copied._state = copy.copy(instance._state)
    copied._state.fields_cache = instance._state.fields_cache.copy()
    copied.pk = key
    return copied


def _key(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else tuple(values)


def instances_of(model: Any, using: str, table: Table) -> list[Any]:
    """Return instances of rows of which the database has sent all columns."""
    names = [field.attname for field in model._meta.concrete_fields]
    return [model.from_db(using, names, row) for row in table]


def loaded(model: Any, using: str, pks: Sequence[Any]) -> dict[Any, Any]:
    """Return the instances with these primary keys: by one query, unless the database takes fewer parameters."""
    rows = model._base_manager.using(using)
    return {instance.pk: instance for some in in_chunks(model, using, pks) for instance in rows.filter(pk__in=some)}
