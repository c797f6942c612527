"""Plans: which fields of a model are compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from operator import itemgetter
from typing import Any

from heliograph.changes.presenting import has_own_descriptor
from heliograph.changes.values import NO_ROW, UNKNOWN, may_mutate
from heliograph.orm.kept_columns import KEPT

Picker = Callable[[Any], Sequence[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Watching:
    """The time during which receivers watch a model, from the first connected one to the last.

    The steps of the model belong to it, and have no effect after it, even if a tool still holds and calls them.
    """

    model: Any
    renewed: Callable[[Any], Plan | None]  # plans the model again, and returns the plan

    def plan(self) -> Plan | None:
        """Return the plan of the model, with the fields that it has by now; None if nobody watches it any more."""
        plan = PLANS.get(self.model)
        if plan is None or plan.watching is not self:
            return None
        # Django makes another list whenever a field may have been added to the model or removed from it.
        return plan if plan.columns is self.model._meta.concrete_fields else self.renewed(self.model)


@dataclass(frozen=True, eq=False)
class Plan:
    """The fields of the primary key of a model, followed by the fields that receivers watch.

    Sets of strings have the attributes of fields, sets of numbers their indexes in `fields`.
    """

    model: Any
    fields: tuple[Any, ...]
    keys: int  # how many of them belong to the primary key
    columns: Sequence[Any]  # all concrete fields of the model
    fetched: frozenset[str] = frozenset()  # fields to read before a save if their old values are not known
    asked: frozenset[str] = frozenset()  # fields to read before each save
    locked: frozenset[str] = frozenset()  # fields to read and lock in the transaction of each save
    verifies: bool = False  # whether a save may verify its old values in its UPDATE instead of locking the row before
    locked_at_end: frozenset[str] = frozenset()  # fields to read and lock in the transaction of a deletion
    writes: bool = False  # whether receivers add to update_fields
    memory: str = "_heliograph"  # the attribute of an instance's `_state` that remembers its row
    watching: Any = None  # the time of watching that the plan is for; None for a plan of one statement
    beside: int = 0  # how many fields at the end are not watched, but needed for the values of watched fields
    presented: frozenset[int] = frozenset()  # fields whose descriptor may combine several columns
    prepared: frozenset[int] = frozenset()  # fields with a `pre_save()` of their own
    # Generated fields, each with the fields of its expression.
    sources: Mapping[int, tuple[int, ...]] = dataclass_field(default_factory=dict)
    recording: tuple[Any, ...] = ()  # while they exist, steps record the values that `pre_save()` returns

    @cached_property
    def special(self) -> frozenset[int]:
        """The indexes of the fields whose column differs from the value in the instance's `__dict__`."""
        return self.presented | self.prepared | self.sources.keys()

    def columns_beside(self, at: int) -> Iterator[int]:
        """Yield the indexes of the other columns that the descriptor of a field may read."""
        return (other for other in range(self.keys, len(self.fields)) if other != at and other not in self.presented)

    def key_of(self, row: Sequence[Any]) -> Any:
        """Return the primary key of a row that begins with the values of the plan."""
        return row[0] if self.keys == 1 else tuple(row[: self.keys])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attributes of the fields."""
        return tuple(field.attname for field in self.fields)

    @cached_property
    def attributes(self) -> frozenset[str]:
        """The attributes of the fields, as a set."""
        return frozenset(self.names)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each field is, by its name and by its attribute."""
        return {name: at for at, field in enumerate(self.fields) for name in (field.attname, field.name)}

    def field(self, name: str) -> Any:
        """Return the field with this name or attribute."""
        return self.fields[self.positions[name]]

    def joined(self, other: Plan, fields: Sequence[Any]) -> Plan:
        """Return a plan of the fields of two plans, in this order; it does not say which of them are watched."""
        positions = {field: at for at, field in enumerate(fields)}
        both = (self, other)
        sources = {
            positions[plan.fields[at]]: tuple(positions[plan.fields[source]] for source in of_one)
            for plan in both
            for at, of_one in plan.sources.items()
        }
        return replace(
            self,
            fields=tuple(fields),
            beside=0,
            presented=frozenset(positions[plan.fields[at]] for plan in both for at in plan.presented),
            prepared=frozenset(positions[plan.fields[at]] for plan in both for at in plan.prepared),
            sources=sources,
        )

    @cached_property
    def changeable(self) -> frozenset[int]:
        """The indexes of the fields whose values may be changed in place."""
        return frozenset(at for at, field in enumerate(self.fields) if may_mutate(field))

    @cached_property
    def has_new_keys(self) -> bool:
        """Whether a field is there as a part of the old key, and again with its new value."""
        return not {*self.fields[: self.keys]}.isdisjoint(self.fields[self.keys :])

    @cached_property
    def automatic(self) -> frozenset[str]:
        """The names of the fields that Django sets at each save."""
        return frozenset(field.name for field in self.fields if getattr(field, "auto_now", False))

    @cached_property
    def from_row(self) -> Picker:
        """Pick the values of the fields from the values of all columns."""
        return _picker([self.columns.index(field) for field in self.fields])

    @cached_property
    def from_dict(self) -> Picker:
        """Pick the values of the fields from the attributes of an instance."""
        return _picker(self.names)

    @cached_property
    def unknown(self) -> tuple[Any, ...]:
        """The values of a row of which nothing is known."""
        return (UNKNOWN,) * len(self.fields)

    @cached_property
    def nothing(self) -> tuple[Any, ...]:
        """The values of a row that was deleted: `NO_ROW` for each field."""
        return (NO_ROW,) * len(self.fields)

    def of_instance(self, instance: Any) -> Sequence[Any]:
        """Return the values that an instance has now; ABSENT where it has none."""
        values = instance.__dict__
        try:
            row = self.from_dict(values)
        except KeyError:
            row = [values.get(name, ABSENT) for name in self.names]
        return self._with_attributes(row, instance) if self.special else row

    def _with_attributes(self, row: Sequence[Any], instance: Any) -> Sequence[Any]:
        """Return the values of an instance as a save would write them, as far as they are known before the save."""
        row = [*row]
        for at in self.presented:
            if row[at] is not ABSENT:
                row[at] = getattr(instance, self.names[at])
        for at in self.sources:
            row[at] = DERIVED
        return row

    def without_kept(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return the values that an UPDATE of an instance writes: ABSENT for fields that receivers keep."""
        return [ABSENT if field in KEPT else value for field, value in zip(self.fields, row, strict=True)]

    def values_of(self, row: Any) -> Sequence[Any]:
        """Return the values of the plan's fields from a row, which is a sequence of all columns or an instance."""
        return self.of_instance(row) if isinstance(row, self.model) else self.from_row(row)

    def absent_from(self, instance: Any) -> Collection[str]:
        """Return the names of the fields that an instance has not loaded."""
        values = instance.__dict__
        try:
            self.from_dict(values)
        except KeyError:
            return [name for name in self.names if name not in values]
        return ()


# The value of a field that an instance has not loaded.
ABSENT: Any = type("ABSENT", (), {"__repr__": lambda self: "ABSENT"})()


# The new value of a generated field that the database has not returned. It changes with the fields of its expression.
DERIVED: Any = type("DERIVED", (), {"__repr__": lambda self: "DERIVED"})()


class Prepared:
    """A value that `pre_save()` has returned for a column, with the different value that the attribute has."""

    __slots__ = ("attribute", "value")

    def __init__(self, value: Any, attribute: Any) -> None:
        self.value = value
        self.attribute = attribute


def value_of(value: Any) -> Any:
    """Return the value in the column, for a value that may be a `Prepared`."""
    return value.value if type(value) is Prepared else value


def _picker(keys: Sequence[Any]) -> Picker:
    return itemgetter(*keys) if len(keys) > 1 else lambda values: (values[keys[0]],)


# The attribute of an instance's `_state` that has the save that is under way.
SAVING = "_heliograph_saving"

# The plan of each model that somebody watches.
PLANS: dict[type, Plan] = {}


def plan_of(model: Any) -> Plan:
    """Return the plan of a model."""
    plan = PLANS.get(model)
    if plan is None:
        raise LookupError(
            f"The changes of {model.__module__}.{model.__qualname__} are not known: no receiver watches it."
            " Connect one with when=changed(...), or with a parameter named changes."
        )
    return plan


def watched_fields(model: Any) -> Sequence[Any]:
    """Return the fields of a model that receivers watch."""
    plan = PLANS.get(model)
    return () if plan is None else plan.fields[plan.keys :]


def watched_among(model: Any, fields: Collection[Any]) -> list[Any]:
    """Return the watched fields of a model among these fields, and the watched fields that change with one of them.

    A generated field changes with its sources, and a field with a descriptor of a package with any other column.
    """
    return [one for one in watched_fields(model) if one in fields or one.generated or has_own_descriptor(model, one)]


def with_columns_beside(model: Any, fields: Sequence[Any]) -> list[Any]:
    """Return fields, with all other columns if the descriptor of one of the fields may read these too."""
    if not any(has_own_descriptor(model, field) for field in fields):
        return [*fields]
    keys = model._meta.pk_fields
    return [*fields, *(one for one in model._meta.concrete_fields if one not in fields and one not in keys)]


def plan_for(model: Any, fields: Sequence[Any]) -> Plan:
    """Return a plan of these fields of a model, for one statement, whether a receiver watches them or not."""
    options = model._meta
    keys = len(options.pk_fields)
    presented = frozenset(at for at, field in enumerate(fields, keys) if has_own_descriptor(model, field))
    return Plan(model, (*options.pk_fields, *fields), keys, options.concrete_fields, presented=presented)


def plan_of_all(model: Any) -> Plan:
    """Return a plan of all fields of a model, for one statement."""
    options = model._meta
    return plan_for(model, [one for one in options.concrete_fields if one not in options.pk_fields])


def is_among(field: Any, names: Collection[str] | None) -> bool:
    """Return whether a save writes a field; `names` are the names of the fields that it writes, None for all."""
    return names is None or field.name in names or field.attname in names
