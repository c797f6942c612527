"""Describing receivers to people, in errors, logs and lists: name, file and line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def qualified_name(receiver: Any) -> str:
    """Return the name of any callable for people, also of one without a `__qualname__`: a partial or an object."""
    if isinstance(receiver, functools.partial):
        return f"partial({qualified_name(receiver.func)})"
    name = getattr(receiver, "__qualname__", None)
    if isinstance(name, str):
        return name
    kind = type(receiver)
    return f"{kind.__qualname__}.__call__" if callable(receiver) else repr(receiver)


def full_name(receiver: Any) -> str:
    """Return the name of a receiver with its module in front."""
    if isinstance(receiver, functools.partial):
        return f"partial({full_name(receiver.func)})"
    owner = receiver if hasattr(receiver, "__qualname__") else type(receiver)
    return f"{getattr(owner, '__module__', None) or '?'}.{qualified_name(receiver)}"


def source(receiver: Any) -> tuple[str, int] | None:
    """Return the file and line where a receiver is written, or None where there is no Python source."""
    code = getattr(origin(receiver), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else None


def origin(receiver: Any) -> Callable[..., Any]:
    """Return the function at the bottom of a receiver: below partials, decorators, methods and `__call__`."""
    function = receiver
    while isinstance(function := inspect.unwrap(getattr(function, "__func__", function)), functools.partial):
        function = function.func
    if hasattr(function, "__code__") or isinstance(function, type):
        return function  # type: ignore[no-any-return]
    call: Callable[..., Any] = inspect.unwrap(type(function).__call__)
    return call


def describe(receiver: Any) -> str:
    """Return name, file and line of a receiver, for an error message."""
    found = source(receiver)
    return f"{full_name(receiver)} ({found[0]}:{found[1]})" if found else full_name(receiver)
