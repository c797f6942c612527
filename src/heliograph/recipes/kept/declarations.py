"""The registry: all declarations of kept fields, with the file and line where each stands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliograph.recipes.kept.kept_fields import KeptField

_PACKAGE = str(Path(__file__).parents[2])


@dataclass(eq=False)
class Declaration:
    """A call of `keep`, and what it has connected."""

    text: str  # as it was written
    line: str  # file and line
    fields: tuple[KeptField, ...] = ()
    problem: Exception | None = None  # why it is refused, if it was declared before models were loaded
    undo: list[Callable[[], Any]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.text} at {self.line}>"

    def disconnect(self) -> bool:
        """Keep the fields no longer. Return whether they were kept until now."""
        if self not in declarations:
            return False
        declarations.remove(self)
        while self.undo:
            self.undo.pop()()
        return True


declarations: list[Declaration] = []


def line_of_caller() -> str:
    """Return the file and line outside of Heliograph that calls it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def kept_fields() -> Iterator[KeptField]:
    """Yield all kept fields, in the order of their declarations."""
    return (kept for declaration in declarations for kept in declaration.fields)


def fields_of(model: Any) -> Iterator[KeptField]:
    """Yield the kept fields of a model, which it shares with its proxies and its children by inheritance."""
    return (kept for kept in kept_fields() if issubclass(model, kept.parent))


def declaration_of(parent: Any, name: str) -> Declaration | None:
    """Return the declaration of a field, if it is kept."""
    found = (one for one in declarations for kept in one.fields if (kept.parent, kept.name) == (parent, name))
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
