"""Identity: what makes a receiver the same one, and whether it is async."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from inspect import CO_COROUTINE
from types import CodeType, FunctionType
from typing import Any

from asgiref.sync import iscoroutinefunction

from heliograph.dispatch.describe import origin

Receiver = Callable[..., Any]


def is_async(receiver: Receiver) -> bool:
    """Return whether the result of a call is to be awaited, also of an object with `async def __call__`."""
    if type(receiver) is FunctionType:
        # As iscoroutinefunction() would answer, which takes a good part of the time that connecting takes.
        marked = hasattr(receiver, "_is_coroutine_mark") or hasattr(receiver, "_is_coroutine")
        return bool(receiver.__code__.co_flags & CO_COROUTINE) or (marked and iscoroutinefunction(receiver))
    while isinstance(receiver, functools.partial):
        receiver = receiver.func
    return iscoroutinefunction(receiver) or iscoroutinefunction(getattr(type(receiver), "__call__", None))  # noqa: B004 - its kind is asked for


def identity(receiver: Any, dispatch_uid: Hashable | None) -> Hashable:
    """Return the key of a receiver: its dispatch_uid, its name in its file, or the identity of the object.

    A function of a module has its file and its qualified name: a module that is imported twice is one file.
    """
    if dispatch_uid is not None and dispatch_uid != "":
        return (dispatch_uid,)
    if type(receiver) is FunctionType and "<" not in receiver.__qualname__:
        filename = _code(receiver).co_filename
        if not filename.startswith("<"):
            return (filename, receiver.__qualname__)
    return object_identity(receiver)


def object_identity(receiver: Any) -> Hashable:
    """Return the identity of an object; a bound method is its owner and its function."""
    function = getattr(receiver, "__func__", None)
    return id(receiver) if function is None else (id(receiver.__self__), id(function))


def is_name(key: Hashable) -> bool:
    """Return whether a key is a name, which another function can have too."""
    return isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str)


def _code(function: Any) -> CodeType:
    """Return the code that a function was written as, below its decorators."""
    if "__wrapped__" not in vars(function):
        return function.__code__  # type: ignore[no-any-return]
    return getattr(origin(function), "__code__", function.__code__)  # type: ignore[no-any-return]


def is_reimport(old: Any, new: Any) -> bool:
    """Return whether `new` replaces `old` after an import of the same module, given that they share a name.

    An import makes new code; functions that share their code (made in a loop, or decorated twice) are different. A
    module that is imported under another name has other globals; one that is reloaded has either the line in common
    or another function under the name. What remains is a name that one module gives to two functions.
    """
    if _code(old) is _code(new):
        return False
    if old.__globals__ is not new.__globals__ or _code(old).co_firstlineno == _code(new).co_firstlineno:
        return True
    named = _named(old)
    return named is not None and named is not old


def _named(function: Any) -> Any:
    """Return the object that the module of a function has under its name now, or None."""
    first, *rest = function.__qualname__.split(".")
    return functools.reduce(lambda owner, name: getattr(owner, name, None), rest, function.__globals__.get(first))
