"""Patches: attributes that are replaced, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Patch:
    """An attribute of an owner, with the value that it gets or had; MISSING if the owner has none itself."""

    owner: Any
    name: str
    value: Any


def applied(patches: Iterable[Patch]) -> list[Patch]:
    """Replace attributes, and return the patches that put the old values back."""
    return [_apply(patch) for patch in [*patches]]


def _apply(patch: Patch) -> Patch:
    before = Patch(patch.owner, patch.name, own(patch.owner, patch.name, MISSING))
    setattr(patch.owner, patch.name, patch.value)
    return before


def undo(befores: list[Patch]) -> None:
    """Put the old values of attributes back, the last one first."""
    while befores:
        before = befores.pop()
        put(before.owner, before.name, before.value)


def forwarding_code(name: str, inner: str, free: tuple[str, ...] = ()) -> CodeType:
    """Return code that calls another method of `self`; it has the free variables of the code that it replaces."""
    return _code(name, "self, *args, **kwargs", f"self.{inner}(*args, **kwargs)", free)


def passing_on(function: FunctionType, inner: Callable[..., Any]) -> None:
    """Replace the code of a function, so that it only calls another one, also for tools that hold the function."""
    free = function.__code__.co_freevars
    function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), _INNER: inner}
    function.__code__ = _code("passing_on", f"*args, {_INNER}, **kwargs", f"{_INNER}(*args, **kwargs)", free)


_INNER = "_heliograph_inner"


def _code(name: str, parameters: str, result: str, free: tuple[str, ...]) -> CodeType:
    """Return the code of a function of one expression, with free variables that it does not use."""
    body = f"def {name}({parameters}): {', '.join(free) or 'None'}; return {result}"
    namespace: dict[str, Any] = {}
    exec(f"def make({', '.join(free)}):\n {body}\n return {name}", namespace)
    code: CodeType = namespace["make"](*free).__code__
    return code


def passed_on_to(function: Any) -> Any:
    """Return the callable that a function was given by `passing_on`; None for other values."""
    return (function.__kwdefaults__ or {}).get(_INNER) if isinstance(function, FunctionType) else None


def put(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of an owner; MISSING deletes it, so that an inherited one is found again."""
    if value is not MISSING:
        setattr(owner, name, value)
    elif name in vars(owner):
        delattr(owner, name)


def own(owner: Any, name: str, default: Any = None) -> Any:
    """Return the attribute that an owner has itself, not by inheritance."""
    return owner.__code__ if isinstance(owner, FunctionType) else vars(owner).get(name, default)
