"""Groups: kept fields of a model that has one row for each group of other rows, such as the revenue of a day."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db.models import (
    Aggregate,
    Count,
    DateTimeField,
    Exists,
    F,
    Model,
    OuterRef,
    Q,
    Subquery,
    UniqueConstraint,
    Value,
)
from django.db.models.expressions import Star
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from heliograph import UNKNOWN
from heliograph.recipes.chunking import in_chunks
from heliograph.recipes.kept.arithmetic import Contribution, Row, contribution, type_of
from heliograph.recipes.kept.cutting import Cutter, is_path
from heliograph.recipes.kept.kept_fields import ALIAS, KeptField
from heliograph.recipes.kept.site_days import SiteDate

_AT_ONCE = 100  # groups of one SELECT


@dataclass(frozen=True)
class GroupCut:
    """An aggregate of the rows of one group."""

    child: type[Model]
    aggregate: Aggregate  # without its default
    argument: Any
    condition: Q | None
    default: Any
    names: frozenset[str]


@dataclass(frozen=True, eq=False)
class By:
    """The expressions by which rows are grouped."""

    expressions: Mapping[str, Any]  # by the name of the field of the group
    values: Mapping[str, Contribution]  # the same, computed in Python
    names: tuple[str, ...]  # of the fields of the grouped model that they read


@dataclass(frozen=True, eq=False)
class GroupField(KeptField):
    """A field of a group that has an aggregate of the group's rows."""

    by: By

    def __repr__(self) -> str:
        return f"keep_groups({self.child._meta.label}, into={self.parent._meta.label}, {self.name}={self.declared!r})"

    @cached_property
    def target(self) -> Any:
        return tuple(self.by.expressions)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.by.names, *sorted(self.cut.names))))

    @cached_property
    def contribution(self) -> Contribution | None:
        if isinstance(self.cut.argument, Star):
            return lambda row: 1
        return contribution(self.cut, self.field)

    @property
    def links(self) -> tuple[Any, ...]:
        return ()

    def key_of(self, row: Row | None) -> Any:
        """Return the key of a row's group: its values of `by`; None if one of them is NULL."""
        if row is None:
            return None
        if any(row[name] is UNKNOWN for name in self.by.names):
            raise LookupError(f"{self!r} cannot be kept: nobody knows in which group a row was.")
        key = tuple(value(row) for value in self.by.values.values())
        return None if None in key else key

    @cached_property
    def key_columns(self) -> tuple[str, ...]:
        return tuple(str(self.parent._meta.get_field(name).attname) for name in self.target)  # type: ignore[union-attr]

    def key_from(self, values: Sequence[Any]) -> Any:
        return tuple(values)

    # --- the truth ------------------------------------------------------------------------------------------------

    def truth(self, using: str) -> Any:
        counted = self._counted(using)
        return self.parent._base_manager.using(using).annotate(**{ALIAS: counted})

    def recounted(self, using: str) -> Any:
        return self.stored(self._counted(using))

    def _counted(self, using: str) -> Any:
        rows = self._grouped(using).filter(**{f"heliograph_{name}": OuterRef(name) for name in self.target}).order_by()
        rows = rows.values(*(f"heliograph_{name}" for name in self.target)).annotate(**{ALIAS: self.cut.aggregate})
        counted: Any = Subquery(rows.values(ALIAS))
        return counted if self.empty is None else Coalesce(counted, Value(self.empty), output_field=self.field)

    def _grouped(self, using: str) -> Any:
        by = {f"heliograph_{name}": expression for name, expression in self.by.expressions.items()}
        return self.child._base_manager.using(using).annotate(**by)

    def missing(self, using: str, of: Collection[Any] | None = None) -> list[Any]:
        """Query for the keys of groups that have rows, and no row of their own; of the groups of some rows only."""
        names = [f"heliograph_{name}" for name in self.target]
        there = self.parent._base_manager.using(using).filter(
            **{name: OuterRef(f"heliograph_{name}") for name in self.target}
        )
        rows = self._grouped(using).filter(~Exists(there), **{f"{name}__isnull": False for name in names})
        rows = rows if of is None else rows.filter(pk__in=of)
        return [*rows.order_by().values_list(*names).distinct()]

    # --- rows of groups -------------------------------------------------------------------------------------------

    def locate(self, keys: Iterable[Any], using: str) -> tuple[Mapping[Any, Any], Collection[Any]]:
        """Return the primary keys of groups, and the keys of new ones to recount: missing groups are created, in order.

        The group of a customer who is deleted too, with the customer's rows and the group's own, is not created.
        """
        keys = sorted(keys)
        found = self._find(keys, using)
        missing = self._possible([key for key in keys if key not in found], using)
        if missing:
            self.create(missing, using)
            found.update(self._find(missing, using))
        return found, missing

    def _possible(self, keys: list[Any], using: str) -> list[Any]:
        """Return the keys whose foreign keys refer to rows that exist."""
        for at, name in enumerate(self.target):
            field: Any = self.parent._meta.get_field(name)
            if keys and field.is_relation:
                column, wanted = field.target_field.attname, {key[at] for key in keys}
                rows = field.related_model._base_manager.using(using).filter(**{f"{column}__in": wanted})
                there = {*rows.values_list(column, flat=True)}
                keys = [key for key in keys if key[at] in there]
        return keys

    def create(self, keys: Collection[Any], using: str) -> None:
        """Create rows for groups; another transaction may have done the same."""
        columns = self.key_columns
        rows = [self.parent(**dict(zip(columns, key, strict=True))) for key in keys]
        self.parent._base_manager.using(using).bulk_create(rows, ignore_conflicts=True)

    def _find(self, keys: list[Any], using: str) -> dict[Any, Any]:
        columns = self.key_columns
        found: dict[Any, Any] = {}
        for some in in_chunks(keys, _AT_ONCE):
            wanted = Q()
            for key in some:
                wanted |= Q(**dict(zip(columns, key, strict=True)))
            rows = self.parent._base_manager.using(using).filter(wanted)
            found.update({tuple(key): pk for *key, pk in rows.values_list(*columns, "pk")})
        return found


# --- declarations -------------------------------------------------------------------------------------------------


class GroupCutter(Cutter):
    """Verifies the paths of an aggregate of a model's own rows."""

    def path(self, path: str) -> str:
        first, *rest = path.split("__")
        if first == "pk":
            return path
        try:
            found: Any = self.parent._meta.get_field(first)
        except FieldDoesNotExist:
            raise self.refusal(
                f"{self.parent._meta.label} has no field {first!r}.", "Name one of its fields."
            ) from None
        if not found.concrete or found.many_to_many:
            raise self.third_table(path, first)
        return "__".join([self.field_of(path, [first, *rest], self.parent), *rest])


def group_field(child: type[Model], into: type[Model], by: By, name: str, declared: Any, text: str) -> GroupField:
    """Return the description of a field of groups. Raises TypeError, with what to do, if it cannot be kept right."""
    cutter = GroupCutter(child, text)
    if not (isinstance(declared, Count) and isinstance(declared.source_expressions[0], Star)):
        cutter.verify_aggregate(declared)
    argument, condition = declared.source_expressions[0], cutter.condition_of(declared)
    if not isinstance(argument, Star):
        argument = cutter.argument(argument)
    aggregate: Any = cutter.over_children(declared, argument, condition)
    cut: Any = GroupCut(child, aggregate, argument, condition, cutter.default(declared), frozenset(cutter.names))
    return GroupField(into, name, declared, cut, by)


def grouping(child: type[Model], into: type[Model], by: Mapping[str, Any], text: str) -> By:
    """Return the expressions by which rows are grouped. Raises TypeError, with what to do, if they cannot be."""
    _verify_unique(into, by, text)
    cutter = GroupCutter(child, text)
    pairs = {name: _grouped_by(cutter, child, expression) for name, expression in by.items()}
    return By(
        {name: expression for name, (expression, _) in pairs.items()},
        {name: value for name, (_, value) in pairs.items()},
        tuple(sorted(cutter.names)),
    )


def _verify_unique(into: type[Model], by: Mapping[str, Any], text: str) -> None:
    names, meta = {*by}, into._meta
    unknown = names - {one.name for one in meta.concrete_fields}
    if not by or unknown:
        raise TypeError(f"{text}: by= names fields of {meta.label}, and {sorted(unknown)} are none.")
    single = {frozenset([one.name]) for one in meta.concrete_fields if one.unique}
    together = {frozenset(one) for one in meta.unique_together}
    constraints = {
        frozenset(one.fields)
        for one in meta.constraints
        if isinstance(one, UniqueConstraint) and one.condition is None and not one.deferrable
    }
    if frozenset(names) not in single | together | constraints:
        listed = ", ".join(map(repr, by))
        raise TypeError(
            f"{text}: two transactions could both make the row of a group. Let {meta.label} have"
            f" UniqueConstraint(fields=[{listed}], name=...)."
        )


def _grouped_by(cutter: GroupCutter, child: type[Model], given: Any) -> tuple[Any, Contribution]:
    """Return an expression of a group, and the function that computes it of a row."""
    expression: Any = F(given) if isinstance(given, str) else given
    if is_path(expression):
        path = cutter.path(expression.name)
        if type_of(path, child) is not None:
            return F(path), lambda row: row[path]
    elif type(expression) is TruncDate and is_path(source := expression.get_source_expressions()[0]):
        path = cutter.path(source.name)
        if isinstance(child._meta.get_field(path), DateTimeField):
            return _date(expression, path)
    raise cutter.refusal(
        f"Rows are grouped by {given!r}, which Python may compute otherwise than the database.",
        "Group by integers, booleans, dates, decimals, foreign keys, or by TruncDate() of a DateTimeField.",
    )


def _date(expression: TruncDate, path: str) -> tuple[Any, Contribution]:
    """Return a date in the zone of the site, not in the one that a request has activated."""
    zone = (expression.tzinfo or timezone.get_default_timezone()) if settings.USE_TZ else None
    pinned = SiteDate(path, tzinfo=zone)

    def date(row: Row) -> Any:
        value = row[path]
        if not isinstance(value, datetime):
            return value
        return (value if zone is None else value.astimezone(zone)).date()

    return pinned, date
