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
from heliograph.changes.comparing import Change, Comparison, all_stored
from heliograph.changes.current import without_wrapper
from heliograph.changes.parents import is_key
from heliograph.changes.plans import PLANS, Plan, plan_for, plan_of_all
from heliograph.changes.values import SCALARS, UNKNOWN, copied, is_of_own_type, is_same, kept

Kind = Literal["created", "updated", "deleted"]
Triple = tuple[Any, Any, Any]  # a primary key, an old value and a new one
Values = tuple[Any, tuple[Any, ...] | None, tuple[Any, ...] | None]  # a primary key, old values and new ones
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

    def written(self, at: int) -> Comparison:
        """Compare one row before and after, also a row that is new: its old values are `UNKNOWN`."""
        compared = self.comparison(at)
        assert compared is not None
        return compared

    @abstractmethod
    def changes(self, name: str) -> list[Triple]:
        """Return the primary key, the old and the new value of a field, where these differ."""

    @property
    def sent_instances(self) -> Sequence[Any]:
        """The instance of each row, if the writing code holds them; else none."""
        return ()

    def sent_instance(self, at: int) -> Any:
        """Return the instance of a row that the writing code holds; None if it holds none."""
        sent = self.sent_instances
        return sent[at] if sent else None

    @abstractmethod
    def values_of(self, names: Sequence[str]) -> Iterable[Values]:
        """Return the primary key, the old and the new values of these fields, for each row.

        The old values are None for rows that are new, and the new values for rows that are gone.
        """

    @abstractmethod
    def columns_of(self, name: str) -> tuple[Iterable[Any] | None, Iterable[Any] | None]:
        """Return the old and the new values of a field; None for the old ones if rows are new, the new ones if gone."""

    def _one_by_one(self, name: str) -> list[Change]:
        return [self.written(at).values(name) for at in range(len(self))]

    def _unread(self, name: str) -> Iterable[Any]:
        """Return the values of a field that was not read; keys are known all the same."""
        return self.pks if is_key(self.model, self.model._meta.get_field(name)) else repeat(UNKNOWN, len(self))

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
    plan: Plan  # the fields whose values are known
    values: Table  # of each row, in the order of the plan
    are_sent: bool  # whether the writing code holds the instances

    @classmethod
    def of(
        cls, model: Any, using: str, made: Sequence[Any], plan: Plan | None = None, *, are_sent: bool = True
    ) -> Created:
        """Return the rows of these instances, with the keys and the values that they have now.

        Others may change the instances afterwards. Without a plan, the rows have the values of the watched fields.
        """
        plan = plan or PLANS.get(model) or plan_for(model, ())
        values = [written_values(plan, without_wrapper(one)) for one in made]
        return cls(model, using, [*made], [normal_key(one) for one in made], plan, values, are_sent)

    @property
    def sent_instances(self) -> Sequence[Any]:
        return self.made if self.are_sent else ()

    @cached_property
    def instances(self) -> Sequence[Any]:  # type: ignore[override]  # computed, where the base has an attribute
        return [*map(with_key, self.made, self.pks)]

    def comparison(self, at: int) -> None:
        return None

    def written(self, at: int) -> Comparison:
        return Comparison(self.plan, self.plan.unknown, self.values[at], None, self.using)

    def values_of(self, names: Sequence[str]) -> Iterable[Values]:
        return zip(self.pks, repeat(None), _across([*map(self._column, names)], len(self)), strict=False)

    def columns_of(self, name: str) -> tuple[None, Iterable[Any]]:
        return None, self._column(name)

    def _column(self, name: str) -> Iterable[Any]:
        at = self.plan.positions.get(name)
        if at is None:
            return self._unread(name)
        if at in self.plan.special:
            return [new for _, new in self._one_by_one(name)]
        return all_stored(self.plan.fields[at], [row[at] for row in self.values], self.using)

    def positions_of_changes(self, names: Collection[str]) -> Sequence[int]:
        return ()

    def only(self, positions: Sequence[int]) -> Rows:
        made, pks, values = ([those[at] for at in positions] for those in (self.made, self.pks, self.values))
        return replace(self, made=made, pks=pks, values=values)


@dataclass(frozen=True, eq=False, repr=False)
class Deleted(Whole):
    """Rows that are gone."""

    kind = "deleted"

    model: Any
    using: str
    pks: Sequence[Any]
    values: Table  # all columns of each row

    @cached_property
    def instances(self) -> Sequence[Any]:  # type: ignore[override]  # computed, where the base has an attribute
        """An instance of each row, which a receiver may change: it shares no list or dict with the values."""
        names = [field.attname for field in self.model._meta.concrete_fields]
        rows = ([(name, copied(one)) for name, one in zip(names, row, strict=True)] for row in self.values)
        known = ({name: one for name, one in row if one is not UNKNOWN} for row in rows)
        return [self.model.from_db(self.using, [*row], [*row.values()]) for row in known]

    def comparison(self, at: int) -> Comparison:
        return Comparison(self._plan, self._plan.from_row(self.values[at]), self._plan.nothing)

    def values_of(self, names: Sequence[str]) -> Iterable[Values]:
        return zip(self.pks, _across([*map(self._column, names)], len(self)), repeat(None), strict=False)

    def columns_of(self, name: str) -> tuple[Iterable[Any], None]:
        return self._column(name), None

    def _column(self, name: str) -> Iterable[Any]:
        at = self._plan.positions.get(name)
        if at is None:
            return self._unread(name)
        if at in self._plan.special:
            return [old for old, _ in self._one_by_one(name)]
        column = self._plan.columns.index(self._plan.fields[at])
        return [row[column] for row in self.values]

    @cached_property
    def _plan(self) -> Plan:
        """A plan of all fields, watched or not."""
        return plan_of_all(self.model)

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

    @property
    def sent_instances(self) -> Sequence[Any]:
        return self.given or ()

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

    def values_of(self, names: Sequence[str]) -> Iterable[Values]:
        columns = [self.columns_of(name) for name in names]
        olds, news = ([column[side] for column in columns] for side in (0, 1))
        return zip(self.pks, _across(olds, len(self)), _across(news, len(self)), strict=True)

    def columns_of(self, name: str) -> tuple[Iterable[Any], Iterable[Any]]:
        at = self.plan.positions.get(name)
        if at is None:
            return self._unread(name), self._unread(name)
        if at in self.plan.presented:
            olds, news = zip(*self._one_by_one(name), strict=True)
            return olds, news
        return self._values(at)

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


def _across(columns: Sequence[Iterable[Any]], length: int) -> Iterable[tuple[Any, ...]]:
    """Return the rows of columns of this length."""
    return zip(*columns, strict=True) if columns else repeat((), length)


def _following(plan: Plan) -> Sequence[Source]:
    """Return where the values are in rows where new values follow the old ones; the primary key is as before."""
    size = len(plan.fields)
    return (*range(plan.keys), *range(size, 2 * size - plan.keys))


def written_values(plan: Plan, instance: Any) -> Sequence[Any]:
    """Return the values of a row that was just written, from its instance, with copies of what may be changed."""
    values = instance.__dict__
    try:
        row = plan.from_dict(values)
    except KeyError:
        row = [values.get(name, UNKNOWN) for name in plan.names]
    if plan.presented:
        row = [getattr(instance, plan.names[at]) if at in plan.presented else one for at, one in enumerate(row)]
    return row if SCALARS.issuperset(map(type, row)) else [*map(kept, row)]


def normal_key(instance: Any) -> Any:
    """Return the primary key of an instance as the database gives it, also where it was given as a text."""
    return normalised(instance, instance.pk)


def normalised(model: Any, key: Any) -> Any:
    """Return a primary key of a model as the database gives it."""
    fields = model._meta.pk_fields
    if len(fields) == 1 and is_of_own_type(fields[0], key):
        return key
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
