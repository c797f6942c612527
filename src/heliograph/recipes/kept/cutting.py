"""Cutting: a declared aggregate becomes one over the children, by cutting the relation from each of its paths."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import (
    Aggregate,
    Avg,
    Count,
    ExpressionWrapper,
    F,
    ForeignKey,
    ForeignObjectRel,
    ManyToOneRel,
    Max,
    Min,
    Model,
    Q,
    QuerySet,
    StdDev,
    Sum,
    Value,
    Variance,
)
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import Case, CombinedExpression, Expression, Star
from django.db.models.functions import (
    Abs,
    Cast,
    Ceil,
    Coalesce,
    Extract,
    Floor,
    Greatest,
    Least,
    Length,
    Lower,
    NullIf,
    Round,
    Upper,
)
from django.db.models.functions.datetime import TruncBase

AGGREGATES = (Count, Sum, Avg, Min, Max, StdDev, Variance)
# Functions of a child's row that are NULL where their first argument is.
FUNCTIONS = (Abs, Cast, Ceil, Extract, Floor, Length, Lower, Round, TruncBase, Upper)
# Expressions that may have a value where the child is NULL, as in the row that a join makes of a parent without any.
_NEVER_NULL = (Case, Coalesce, Greatest, Least, NullIf, Value)


@dataclass(frozen=True)
class Cut:
    """An aggregate over a reverse relation, and the same aggregate over the children."""

    relation: ManyToOneRel
    aggregate: Aggregate  # over the child, without its default
    argument: Any  # what is aggregated of each child: an expression
    condition: Q | None  # which children are aggregated
    default: Any  # the value if there are none; None for NULL
    names: frozenset[str]  # of the fields of the child that are read, without its foreign key

    @property
    def child(self) -> type[Model]:
        """The model whose rows are aggregated."""
        return self.relation.related_model

    @property
    def key(self) -> ForeignKey[Any, Any]:
        """The foreign key of the child."""
        return self.relation.field


def cut(parent: type[Model], name: str, declared: Any) -> Cut:
    """Cut the relation from a declared aggregate. Raises TypeError, with what to do, if it cannot be kept right."""
    cutter = Cutter(parent, f"keep({parent._meta.label}, {name}={declared!r})")
    cutter.verify_aggregate(declared)
    argument = cutter.argument(declared.source_expressions[0])
    condition = cutter.condition_of(declared)
    if cutter.relation is None:
        raise cutter.refusal(
            "It aggregates nothing of another table.", "Name a relation to it, as in Count('comments')."
        )
    aggregate, default = cutter.over_children(declared, argument, condition), cutter.default(declared)
    return Cut(cutter.relation, aggregate, argument, condition, default, frozenset(cutter.names))


def is_path(node: Any) -> bool:
    """Return whether an expression is F(), and no reference to another query."""
    return type(node) is F


def _condition_of(given: Any) -> Any:
    """Return the condition of an aggregate, which Django 6.0 and later wraps."""
    return getattr(given, "condition", given)


def _filter_and_order(declared: Aggregate, condition: Q | None) -> Iterator[Any]:
    """Yield what follows the arguments among the source expressions of an aggregate."""
    rest = declared.get_source_expressions()[len(declared.source_expressions) :]
    if declared.filter is None:
        yield from rest
        return
    wrapped = declared.filter
    if isinstance(wrapped, Q):
        replaced: Any = condition
    else:
        replaced = copy.copy(wrapped)
        replaced.set_source_expressions([condition])
    for one in rest:
        yield replaced if one is wrapped else one


@dataclass
class Cutter:
    """Cuts the paths of one aggregate, and knows which relation they begin with."""

    parent: type[Model]
    text: str  # the declaration, for errors
    relation: ManyToOneRel | None = None
    names: set[str] = field(default_factory=set)

    def refusal(self, problem: str, advice: str) -> TypeError:
        """Return the error that refuses the declaration."""
        return TypeError(f"{self.text} cannot be kept right. {problem} {advice}")

    # --- the aggregate --------------------------------------------------------------------------------------------

    def verify_aggregate(self, declared: Any) -> None:
        """Raise TypeError for what is no aggregate of Django that can be kept."""
        inner = _aggregates_in(declared)
        if not isinstance(declared, Aggregate) and inner:
            raise self._around(declared, inner[0])
        if type(declared) not in AGGREGATES:
            names = ", ".join(one.__name__ for one in AGGREGATES)
            raise self.refusal(f"{_shown(declared)} is none of Django's aggregates that can be kept.", f"Use {names}.")
        if isinstance(declared.source_expressions[0], Star):
            raise self.refusal(
                "Count('*') counts one row for a parent without children.", "Count the relation: Count('comments')."
            )

    def _around(self, declared: Any, inner: Aggregate) -> TypeError:
        if isinstance(declared, Coalesce):
            advice = f"Give the value to the aggregate: {type(inner).__name__}(..., default=...)."
        else:
            advice = f"Keep {inner!r} by itself, and compute the rest where you read it."
        return self.refusal(f"{type(declared).__name__} stands around the aggregate.", advice)

    def default(self, declared: Any) -> Any:
        """Return the value that an aggregate has if there are no children."""
        if isinstance(declared, Count):
            return 0
        default = declared.default.value if isinstance(declared.default, Value) else declared.default
        if isinstance(default, F) or hasattr(default, "resolve_expression"):
            raise self.refusal("Its default is an expression.", "Give a value: default=0.")
        return default

    # --- what is aggregated ---------------------------------------------------------------------------------------

    def argument(self, node: Any) -> Any:
        """Return the expression that is aggregated, over the child."""
        if isinstance(node, _NEVER_NULL):
            raise self.refusal(
                f"{_shown(node)} may have a value where a parent has no children, and Django's annotation counts it.",
                "Aggregate a field of the children, and choose the children by filter=.",
            )
        return self.expression(node)

    def expression(self, node: Any) -> Any:
        """Return an expression with its paths cut."""
        if is_path(node):
            return F(self.path(node.name))
        if isinstance(node, CombinedExpression):
            return self._rebuilt(node, [self.operand(one) for one in node.get_source_expressions()])
        if isinstance(node, ExpressionWrapper):
            return self._rebuilt(node, [self.argument(one) for one in node.get_source_expressions()])
        if isinstance(node, FUNCTIONS):
            first, *rest = node.get_source_expressions()
            return self._rebuilt(node, [self.argument(first), *map(self.operand, rest)])
        if _aggregates_in(node):
            raise self.refusal(f"{_shown(node)} is an aggregate of an aggregate.", "Keep each in a field of its own.")
        raise self.refusal(
            f"{_shown(node)} may have another value although no child is written.",
            "Use fields of the children, combined by +, -, * and /.",
        )

    def operand(self, node: Any) -> Any:
        """Return a part of an expression, which may be a plain value."""
        return node if isinstance(node, Value) else self.argument(node)

    @staticmethod
    def _rebuilt(node: Any, sources: list[Any]) -> Any:
        node = copy.copy(node)
        node.set_source_expressions(sources)
        return node

    # --- which children -------------------------------------------------------------------------------------------

    def condition_of(self, declared: Aggregate) -> Q | None:
        """Return the condition of an aggregate, over the child; None if it has none."""
        return None if declared.filter is None else self.condition(_condition_of(declared.filter))

    @staticmethod
    def over_children(declared: Aggregate, argument: Any, condition: Q | None) -> Any:
        """Return a copy of an aggregate with this argument and this condition, and without its default."""
        aggregate: Any = copy.copy(declared)
        aggregate.default = None
        aggregate.set_source_expressions([argument, *_filter_and_order(declared, condition)])
        return aggregate

    def condition(self, node: Any) -> Q:
        """Return a condition with its paths cut."""
        if not isinstance(node, Q):
            raise self.refusal(f"Its filter {_shown(node)} is no Q().", "Write it as Q(comments__is_public=True).")
        new = Q(_connector=node.connector, _negated=node.negated)
        new.children = [self._part(one) for one in node.children]
        return new

    def _part(self, child: Any) -> Any:
        if not isinstance(child, tuple):
            return self.condition(child)
        path, value = child
        return self.path(path), self._compared(value)

    def _compared(self, value: Any) -> Any:
        if isinstance(value, QuerySet):
            raise self.refusal(
                "Its filter has a query, whose result may be another one although no child is written.",
                "Compare with values, or keep a field of the children that says it.",
            )
        if isinstance(value, list | tuple | set | frozenset):
            return [self._compared(one) for one in value]
        return self.expression(value) if isinstance(value, F | Expression) else value

    # --- paths ----------------------------------------------------------------------------------------------------

    def path(self, path: str) -> str:
        """Return a path from the child. Raises TypeError if it begins with no relation, or leaves the child."""
        first, *rest = path.split(LOOKUP_SEP)
        relation = self._relation(first)
        if self.relation is None:
            self.relation = relation
        elif self.relation is not relation:
            raise self.refusal(
                f"It aggregates over two relations, {self.relation.name!r} and {relation.name!r}, whose rows multiply.",
                "Declare a field for each.",
            )
        if not rest or (rest[0] not in _names_of_fields(relation.related_model) and rest[0] != "pk"):
            rest = self._without_field(path, rest, relation)
        elif rest[0] != "pk":
            rest[0] = self.field_of(path, rest, relation.related_model)
        return LOOKUP_SEP.join(rest)

    def _relation(self, name: str) -> ManyToOneRel:
        label = self.parent._meta.label
        try:
            found: Any = self.parent._meta.get_field(name)
        except FieldDoesNotExist:
            raise self.refusal(f"{label} has no relation {name!r}.", self._relation_meant(name)) from None
        if found.many_to_many:
            raise self.refusal(
                f"{name!r} is a many-to-many relation.",
                "Give it a through= model of your own, and aggregate over the relation to that: Count('memberships').",
            )
        if not isinstance(found, ForeignObjectRel):
            if found.one_to_many:
                raise self.refusal(
                    f"{name!r} is a generic relation, whose rows no foreign key ties to {label}.",
                    f"Give the children a ForeignKey to {label}.",
                )
            raise self.refusal(
                f"{name!r} is a field of {label} itself.", "Aggregate fields of the children: Sum('items__price')."
            )
        return self._verified(found)

    def _relation_meant(self, name: str) -> str:
        """Return the advice for a name that is no relation; of a filter, it may be a field of the children."""
        if self.relation is not None and name in _names_of_fields(self.relation.related_model):
            return f"Write {self.relation.name + LOOKUP_SEP + name!r}: all names begin at the parent."
        known = [one.name for one in self.parent._meta.get_fields() if isinstance(one, ForeignObjectRel)]
        return _did_you_mean(name, known)

    def _verified(self, relation: Any) -> ManyToOneRel:
        key, child = relation.field, relation.related_model
        if not isinstance(key, ForeignKey) or len(self.parent._meta.pk_fields) > 1 or len(child._meta.pk_fields) > 1:
            raise self.refusal(
                f"{child._meta.label}.{key.name} is about a primary key of several columns.",
                "Give both models a primary key of one column.",
            )
        if relation.parent_link:
            raise self.refusal(
                f"{relation.name!r} is the table of a child by inheritance.", "Aggregate over a foreign key."
            )
        if not getattr(key, "db_constraint", True):
            raise self.refusal(
                f"{child._meta.label}.{key.name} has db_constraint=False: there may be children without a parent.",
                "Let the database hold the foreign key.",
            )
        if key.model._meta.concrete_model is not child._meta.concrete_model:
            raise self._inherited(key, child)
        return relation  # type: ignore[no-any-return]

    def _without_field(self, path: str, rest: list[str], relation: ManyToOneRel) -> list[str]:
        """Return the rest of a path that names the relation alone, or with a lookup; else raise TypeError."""
        if not rest or relation.related_model._meta.pk.get_lookup(rest[0]) is not None:
            return ["pk", *rest]
        child = relation.related_model
        known = {one.name: one for one in child._meta.get_fields()}
        if rest[0] in known:
            raise self.third_table(path, rest[0])
        raise self.refusal(
            f"{child._meta.label} has no field {rest[0]!r}.", _did_you_mean(rest[0], [*_names_of_fields(child)])
        )

    def field_of(self, path: str, rest: list[str], child: Any) -> str:
        """Return the name of the field that a path from the child begins with; raise TypeError if it leads on."""
        found = child._meta.get_field(rest[0])
        if found.model._meta.concrete_model is not child._meta.concrete_model:
            raise self._inherited(found, child)
        if found.is_relation and len(rest) > 1 and found.get_lookup(rest[1]) is None:
            raise self.third_table(path, rest[0])
        if found.generated:
            raise self.refusal(
                f"{child._meta.label}.{found.name} is a GeneratedField.", "Aggregate the fields that it is made of."
            )
        self.names.add(found.name)
        return str(found.name)

    def third_table(self, path: str, name: str) -> TypeError:
        """Return the error that refuses a path through a relation of the child."""
        return self.refusal(
            f"{path!r} leads through {name!r} to a third table, whose changes would go unseen.",
            "Keep the value in a field of the children, and aggregate that.",
        )

    def _inherited(self, found: Any, child: Any) -> TypeError:
        return self.refusal(
            f"{child._meta.label} inherits {found.name!r} from the table of {found.model._meta.label},"
            " which may be written without it.",
            f"Aggregate over a relation to {found.model._meta.label}.",
        )


def _names_of_fields(model: Any) -> Iterable[str]:
    return {name for one in model._meta.concrete_fields for name in (one.name, one.attname)}


def _aggregates_in(node: Any) -> list[Aggregate]:
    """Return the aggregates in an expression that is not resolved, from the outside to the inside."""
    if isinstance(node, Aggregate):
        return [node]
    sources = node.get_source_expressions() if hasattr(node, "get_source_expressions") else ()
    return [found for one in sources if one is not None for found in _aggregates_in(one)]


def _shown(node: Any) -> str:
    """Return an expression for an error; not by the repr() of a query, which runs it."""
    return type(node).__name__ if hasattr(node, "query") else repr(node)


def _did_you_mean(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(sorted(known)) or 'none'}."
