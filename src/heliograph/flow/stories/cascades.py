"""The rows that are deleted with a row, and the rows that refer to it otherwise, by the relations of the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import CASCADE, DO_NOTHING, PROTECT, RESTRICT, deletion
from django.db.models.deletion import Collector, get_candidate_relations_to_delete

# The values of `on_delete` with which Django sends and deletes nothing: since 6.1 a database may do it.
_LEFT_ALONE = getattr(deletion, "SKIP_COLLECTION", frozenset([DO_NOTHING]))


@dataclass
class Cascade:
    """The effect of a deletion on the rows of other models, by the relations that lead to them."""

    # The models whose rows Django loads, that of the first row among them, in the order in which Django finds them.
    collected: list[Any] = field(default_factory=list)
    # The same models, in the order in which Django deletes their rows, and sends pre_delete and post_delete.
    loaded: list[Any] = field(default_factory=list)
    fast: list[Any] = field(default_factory=list)  # the relations whose rows one statement deletes, without loading
    emptied: list[Any] = field(default_factory=list)  # the relations whose keys get another value, such as NULL
    refusing: list[Any] = field(default_factory=list)  # the relations whose rows keep the row from being deleted
    left_alone: list[Any] = field(default_factory=list)  # the relations that Django leaves to the database, or alone

    @property
    def models(self) -> list[Any]:
        """All models whose rows are deleted, in the order in which the signals of bulk deletions are sent."""
        return [*self.collected, *self.unloaded]

    @property
    def unloaded(self) -> list[Any]:
        """The models whose rows are deleted without being loaded."""
        return [*dict.fromkeys(model for one in self.fast if (model := one.model) not in self.loaded)]


def cascade_of(model: Any, using: str) -> Cascade:
    """Return which rows a deletion concerns, as if each relation had rows; a collector of Django decides the order."""
    walk = _Walk(Collector(using, origin=None), Cascade())
    walk.visit(model)
    walk.found.collected = [*walk.collector.data]
    walk.collector.sort()
    walk.found.loaded = [*walk.collector.data]
    return walk.found


@dataclass
class _Walk:
    """Django's `Collector.collect`, which goes from model to model where Django goes from rows to rows."""

    collector: Any
    found: Cascade

    def visit(self, model: Any, source: Any = None, *, nullable: bool = False, is_parent: bool = False) -> None:
        """Collect the rows of a model, and then the rows that refer to them."""
        is_known = model in self.collector.data
        if source is not None and not nullable:
            self.collector.add_dependency(source, model, reverse_dependency=is_parent)
        if is_known:
            return
        self.collector.data[model] = set()
        for link in model._meta.concrete_model._meta.parents.values():
            if link:
                self.visit(link.remote_field.model, model, is_parent=True)
        if not is_parent:
            self._follow(model)

    def _follow(self, model: Any) -> None:
        relations: Iterable[Any] = get_candidate_relations_to_delete(model._meta)
        for relation in relations:
            self._decide(relation.field)
        for one in model._meta.private_fields:
            if hasattr(one, "bulk_related_objects"):  # a generic relation
                self._delete(one, one.related_model, model, nullable=True)

    def _decide(self, one: Any) -> None:
        """Do what `on_delete` of a relation says."""
        on_delete = one.remote_field.on_delete
        if on_delete in _LEFT_ALONE:
            self.found.left_alone.append(one)
        elif on_delete is CASCADE:
            self._delete(one, one.model, one.remote_field.model, nullable=one.null)
        elif on_delete in (PROTECT, RESTRICT):
            self.found.refusing.append(one)
        else:
            self.found.emptied.append(one)

    def _delete(self, one: Any, related: Any, source: Any, *, nullable: bool) -> None:
        if self.collector.can_fast_delete(related, from_field=one if one.model is related else None):
            self.found.fast.append(_Relation(related, one))
        else:
            self.visit(related, source, nullable=nullable)


@dataclass(frozen=True)
class _Relation:
    """A relation whose rows are deleted without being loaded; a generic relation belongs to the other model."""

    model: Any
    field: Any


def described(relations: list[Any]) -> Iterator[str]:
    """Yield each relation by its label, with what its `on_delete` does."""
    for one in relations:
        yield f"{one.model._meta.label}.{one.name} ({on_delete_of(one)})"


def on_delete_of(one: Any) -> str:
    """Return the `on_delete` of a relation as people write it."""
    on_delete = one.remote_field.on_delete
    if hasattr(on_delete, "deconstruct"):
        path, args, _ = on_delete.deconstruct()
        return f"SET({', '.join(getattr(value, '__name__', repr(value)) for value in args)})" if args else path
    return str(getattr(on_delete, "__name__", on_delete))
