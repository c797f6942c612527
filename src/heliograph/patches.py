"""Patches: attributes that are replaced, each with its reason, and put back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Patch:
    """An attribute that is replaced, and the reason."""

    owner: Any
    name: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True)
class Undo:
    """What an attribute was before it was replaced."""

    patch: Patch
    value: Any

    def __call__(self) -> None:
        """Put it back."""
        if self.value is _MISSING:
            delattr(self.patch.owner, self.patch.name)
        else:
            setattr(self.patch.owner, self.patch.name, self.value)

    def is_due(self) -> bool:
        """Return whether the attribute is still what it was replaced by: somebody may have replaced it again."""
        return own(self.patch.owner, self.patch.name) is self.patch.value


def applied(patches: Iterable[Patch]) -> list[Undo]:
    """Replace the attributes, and return what puts them back."""
    return [_apply(patch) for patch in [*patches]]


def _apply(patch: Patch) -> Undo:
    undo = Undo(patch, own(patch.owner, patch.name, _MISSING))
    setattr(patch.owner, patch.name, patch.value)
    return undo


def undone(undos: list[Undo]) -> None:
    """Put all back, the last one first."""
    while undos:
        undos.pop()()


def withdrawn(undos: list[Undo]) -> None:
    """Put back what nobody has replaced since; what has a wrapper around it stays, and has to be of no effect."""
    undone([undo for undo in undos if undo.is_due()])
    undos.clear()


def own(owner: Any, name: str, default: Any = None) -> Any:
    """Return the attribute that an owner has itself, not by inheritance."""
    return owner.__code__ if isinstance(owner, FunctionType) else vars(owner).get(name, default)
