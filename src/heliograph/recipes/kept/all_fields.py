"""All fields that are kept now, each with its declaration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from heliograph.recipes.declarations import Declaration
from heliograph.recipes.kept.kept_fields import KeptField

_declarations: dict[KeptField, Declaration] = {}


def add(declaration: Declaration, fields: Sequence[KeptField]) -> None:
    """Add the fields of a declaration, until that is disconnected."""
    for kept in fields:
        _declarations[kept] = declaration
        declaration.undone_by(_declarations.pop, kept)


def kept_fields() -> Iterator[KeptField]:
    """Yield all kept fields, in the order of their declarations."""
    return iter(tuple(_declarations))


def fields_of(model: Any) -> Iterator[KeptField]:
    """Yield the kept fields of a model, which it shares with its proxies and its children by inheritance."""
    return (kept for kept in kept_fields() if issubclass(model, kept.parent))


def line_of(parent: Any, name: str) -> str | None:
    """Return the file and line where a field is declared, if it is kept."""
    found = (one.line for kept, one in _declarations.items() if (kept.parent, kept.name) == (parent, name))
    return next(found, None)


def rank_of(parent: Any) -> int:
    """Return how many kept fields, each of which aggregates the one before, lead to a model; 0 if there are none.

    The lines of an order have kept fields of their own: then orders have rank 1, and their customers rank 2.
    """
    return max((rank_of(below) + 1 for below in _below(parent)), default=0)


def _below(parent: Any) -> set[Any]:
    """Return the models whose kept fields are aggregated by kept fields of this one."""
    ours = [kept for kept in kept_fields() if kept.parent is parent]
    return {
        other.parent
        for kept in ours
        for other in kept_fields()
        if other.parent is kept.child and other.name in kept.columns
    }
