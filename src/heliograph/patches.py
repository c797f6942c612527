"""Patches: attributes that are replaced, each with its reason, and put back."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from heliograph.dispatch.routes import registering

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


class Lease:
    """Patches that are there for as long as somebody refers to what `take` returns."""

    def __init__(self, patches: Callable[[], Iterable[Patch]]) -> None:
        self._patches = patches
        self._undos: list[Undo] = []
        self._taken: Callable[[], Tenancy | None] = lambda: None

    def take(self) -> Tenancy:
        """Apply the patches, unless they are there."""
        with registering:
            tenancy = self._taken()
            if tenancy is None:
                tenancy = Tenancy()
                self._taken = weakref.ref(tenancy, self._end)
                there = {(undo.patch.owner, undo.patch.name) for undo in self._undos}
                self._undos += applied(one for one in self._patches() if (one.owner, one.name) not in there)
            return tenancy

    def _end(self, reference: object) -> None:
        # Garbage collection calls this: it waits for nobody, and leaves it to the next end where another thread is
        # about to take the patches again.
        if registering.acquire(blocking=False):
            if self._taken() is None:
                wrapped = [undo for undo in self._undos if not undo.is_due()]  # by a tool: they stay
                withdrawn(self._undos)
                self._undos = wrapped
            registering.release()


class Tenancy:
    """What keeps patches in place."""

    __slots__ = ("__weakref__",)


def forwarding_code(name: str, inner: str, free: tuple[str, ...] = ()) -> CodeType:
    """Return code that calls another method, with the free variables of the code whose place it takes."""
    body = f"def {name}(self, *args, **kwargs): {', '.join(free) or 'None'}; return self.{inner}(*args, **kwargs)"
    namespace: dict[str, Any] = {}
    exec(f"def make({', '.join(free)}):\n {body}\n return {name}", namespace)
    code: CodeType = namespace["make"](*free).__code__
    return code


def own(owner: Any, name: str, default: Any = None) -> Any:
    """Return the attribute that an owner has itself, not by inheritance."""
    return owner.__code__ if isinstance(owner, FunctionType) else vars(owner).get(name, default)
