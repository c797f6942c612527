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
