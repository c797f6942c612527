"""Kept fields: the description of one, with its truth, its recount, and the work that a change of a child makes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from django.db import connections
from django.db.models import Aggregate, DecimalField, Expression, F, Max, Min, Model, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from heliograph import UNKNOWN
from heliograph.recipes.kept.arithmetic import Contribution, Row, contribution
from heliograph.recipes.kept.cutting import Cut, cut
from heliograph.recipes.kept.extremes import Comings, Extreme, Growth, Loss, extreme_of
from heliograph.recipes.kept.number_of_each import NumberOfEach
from heliograph.recipes.stored_decimals import stored


class _Recount:
    """The work on a parent whose value is computed anew."""

    def __repr__(self) -> str:
        return "RECOUNT"


RECOUNT: Final = _Recount()
ALIAS = "heliograph_truth"


@dataclass(frozen=True, eq=False)
class KeptField:
    """A field of a parent that has an aggregate of its children."""

    parent: type[Model]
    name: str
    declared: Aggregate  # over the parent, as it was written
    cut: Cut

    def __repr__(self) -> str:
        return f"keep({self.parent._meta.label}, {self.name}={self.declared!r})"

    @property
    def label(self) -> str:
        """The name of the field with its model, such as "blog.Post.comment_count"."""
        return f"{self.parent._meta.label}.{self.name}"

    @cached_property
    def field(self) -> Any:
        """The field of the parent."""
        return self.parent._meta.get_field(self.name)

    @cached_property
    def child(self) -> type[Model]:
        """The model of the rows that are aggregated, never a proxy."""
        return self.cut.child._meta.concrete_model  # type: ignore[return-value]

    @cached_property
    def target(self) -> Any:
        """The name of the parent's column that the foreign key refers to."""
        return str(self.cut.key.target_field.attname)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the child's fields on which the value depends, the foreign key first."""
        return (self.cut.key.name, *sorted(self.cut.names - {self.cut.key.name}))

    @cached_property
    def contribution(self) -> Contribution | None:
        """What one child adds to the value, or None if each change of a child is a recount."""
        return contribution(self.cut, self.field)

    @cached_property
    def extreme(self) -> Extreme:
        """The order in which a maximum or minimum compares values."""
        return extreme_of(self.cut.aggregate)

    def adds_on(self, using: str) -> bool:
        """Return whether a change of a child adds a number to the value on a database; otherwise it is a recount.

        The columns of decimals of SQLite store more places than the field has, so their values are not known exactly.
        """
        fields = [self.child._meta.get_field(name) for name in self.cut.names]
        types = [str(one.db_type(connections[using])) for one in fields if isinstance(one, DecimalField)]
        return self.contribution is not None and all("(" in one for one in types)

    @property
    def kind(self) -> str:
        """How the value is kept: by "delta", by "growth" if it is a maximum or minimum, or by "recount"."""
        if self.contribution is None:
            return "recount"
        return "growth" if isinstance(self.declared, Max | Min) else "delta"

    @property
    def empty(self) -> Any:
        """The value of a parent without children."""
        return self.cut.default

    # --- the truth ------------------------------------------------------------------------------------------------

    def truth(self, using: str) -> Any:
        """Return a query for the parents, each with its true value under `ALIAS`."""
        return self.parent._base_manager.using(using).annotate(**{ALIAS: self.declared})

    def recounted(self, using: str) -> Any:
        """Return the value of an UPDATE of parents: the aggregate of their children."""
        key = self.cut.key.attname
        children = self.cut.child._base_manager.using(using).filter(**{key: OuterRef(self.target)}).order_by()
        counted: Any = Subquery(children.values(key).annotate(**{ALIAS: self.cut.aggregate}).values(ALIAS))
        if self.empty is not None:
            counted = Coalesce(counted, Value(self.empty), output_field=self.field)
        return self.stored(counted)

    def added(self, delta: Any) -> Any:
        """Return the value of an UPDATE of parents: the stored one and a delta, which may be an expression."""
        value = delta if isinstance(delta, Expression) else Value(delta, output_field=self.field)
        return self.stored(F(self.name) + value)

    def outcome(self, what: Any) -> Any:
        """Return what is to be done for the sum of all work on a parent: a delta, a growth, a loss, or RECOUNT."""
        return self.extreme.outcome(what) if isinstance(what, Comings) else what

    def updated(self, outcome: Any, using: str) -> Any:
        """Return the value of an UPDATE of parents for an outcome."""
        match outcome:
            case Growth(value):
                return self.stored(self.extreme.grown(self.field, Value(value, output_field=self.field)))
            case Loss(value):
                return self.extreme.shrunk(self.field, value, self.recounted(using))
            case _:
                return self.recounted(using) if outcome is RECOUNT else self.added(outcome)

    def updated_each(self, outcomes: Mapping[Any, Any]) -> Any:
        """Return the value of an UPDATE of parents with an outcome each, by primary keys, that asks no child."""
        if self.kind != "growth":
            return self.added(NumberOfEach(outcomes, self.field))
        values = {key: growth.value for key, growth in outcomes.items()}
        return self.stored(self.extreme.grown(self.field, NumberOfEach(values, self.field, others="NULL")))

    def stored(self, value: Any) -> Any:
        """Return a value as the column stores it."""
        return stored(value, self.field)

    # --- parents --------------------------------------------------------------------------------------------------

    @property
    def links(self) -> tuple[Any, ...]:
        """The foreign keys of the child that refer to the parent."""
        return (self.cut.key,)

    @cached_property
    def key_columns(self) -> tuple[str, ...]:
        """The attributes of a parent's fields by which its children refer to it."""
        return (self.target,)

    def key_from(self, values: Sequence[Any]) -> Any:
        """Return the value of the foreign key of a parent's children, from the values of its key columns."""
        return values[0]

    def key_of_parent(self, instance: Any) -> Any:
        """Return the value of the foreign key of a parent's children."""
        return self.key_from([getattr(instance, name) for name in self.key_columns])

    def locate(self, keys: Iterable[Any], using: str) -> tuple[Mapping[Any, Any], Collection[Any]]:
        """Return the primary keys of parents by the values of foreign keys, and the new ones to recount: none."""
        keys = [*keys]
        if self.target == self.parent._meta.pk.attname:
            return dict(zip(keys, keys, strict=True)), ()
        rows = self.parent._base_manager.using(using).filter(**{f"{self.target}__in": keys})
        return {key: pk for key, pk in rows.values_list(self.target, "pk") if key in keys}, ()

    # --- work -----------------------------------------------------------------------------------------------------

    def work(self, old: Row | None, new: Row | None, *, adds: bool) -> Iterator[tuple[Any, Any]]:
        """Yield (value of the foreign key, delta or RECOUNT) for each parent that a change of a child concerns.

        A row is None before the child was created, and after it was deleted. `adds` says whether numbers may be added
        on the database.
        """
        before, after = self.key_of(old), self.key_of(new)
        if not adds or self.contribution is None or _is_unknown(old, self.columns) or _is_unknown(new, self.columns):
            yield from self._recounts(before, after, old, new)
            return
        lost = 0 if old is None else self.contribution(old)
        gained = 0 if new is None else self.contribution(new)
        if before == after:
            lost, gained = 0, gained - lost
        if lost and before is not None:
            yield before, -lost
        if gained and after is not None:
            yield after, gained

    def _recounts(self, before: Any, after: Any, old: Row | None, new: Row | None) -> Iterator[tuple[Any, Any]]:
        if old is not None and new is not None and all(_is_same(old[name], new[name]) for name in self.columns):
            return
        for key in {before, after} - {None}:
            yield key, RECOUNT

    def key_of(self, row: Row | None) -> Any:
        """Return the key of a child's parent: its foreign key; None without a child, or without a parent."""
        key = None if row is None else row[self.columns[0]]
        if key is UNKNOWN:
            raise LookupError(f"{self!r} cannot be kept: nobody knows which {self.parent._meta.label} a child had.")
        return key


def _is_unknown(row: Mapping[str, Any] | None, names: Collection[str]) -> bool:
    return row is not None and any(row[name] is UNKNOWN for name in names)


def _is_same(old: Any, new: Any) -> bool:
    return old is not UNKNOWN and new is not UNKNOWN and old == new


def kept_field(parent: type[Model], name: str, declared: Any) -> KeptField:
    """Return the description of a kept field. Raises TypeError, with what to do, if it cannot be kept right."""
    parent = parent._meta.concrete_model  # type: ignore[assignment]
    return KeptField(parent, name, declared, cut(parent, name, declared))


def name_of(fields: Iterable[KeptField]) -> str:
    """Return the name by which lists and traces show the receivers of kept fields: "keep(shop.Order.total)"."""
    return f"keep({', '.join(f'{kept.parent._meta.label}.{kept.name}' for kept in fields)})"
