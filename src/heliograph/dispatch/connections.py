"""Receivers as the dispatcher keeps them: identified, and referred to weakly."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Hashable
from inspect import CO_COROUTINE
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction

from heliograph.dispatch.describe import origin
from heliograph.dispatch.options import PLAIN, Options

if TYPE_CHECKING:
    from heliograph.dispatch.guarded import Guarded
    from heliograph.dispatch.routes import Bucket

Receiver = Callable[..., Any]

_places = itertools.count()


class IdentityRef(weakref.ref[Any]):
    """A weak reference that is equal to nothing but itself, which it can tell without leaving C."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __deepcopy__(self, memo: dict[int, Any]) -> IdentityRef:
        return self  # as with other weak references


class Connection(IdentityRef):
    """One receiver connected to one sender; it refers to the function, or to the owner of the method."""

    __slots__ = ("bucket", "guarded", "is_async", "key", "method", "order", "pinned", "seq")

    bucket: Bucket
    guarded: Guarded | None  # how the receiver is called, where it has options
    is_async: bool
    key: Hashable
    method: Receiver | None  # the function of a bound method
    order: int
    pinned: Receiver | None  # the receiver itself, where it is connected strongly
    seq: int  # its place in the order of connecting

    def receiver(self) -> Receiver | None:
        """Return the receiver, or None once it was garbage collected."""
        if self.pinned is not None:
            return self.pinned
        anchor = self()
        return anchor if self.method is None or anchor is None else MethodType(self.method, anchor)

    @property
    def sender(self) -> Any:
        """The sender, or None for every sender."""
        return self.bucket.sender()

    @property
    def is_of_subclasses(self) -> bool:
        """Whether the receiver receives from subclasses of the sender too."""
        return self.bucket.shared and self.sender is not None

    @property
    def dispatch_uid(self) -> Hashable | None:
        """The dispatch_uid that the receiver was connected with, or None."""
        return self.key[0] if isinstance(self.key, tuple) and len(self.key) == 1 else None

    @property
    def options(self) -> Options:
        """How the receiver is called, and what is known about it."""
        return PLAIN if self.guarded is None else self.guarded.options

    def _guarded_if_alive(self) -> Receiver | None:
        # Not a method of Guarded: a route that is out of date must not hold what a receiver that has left held.
        return self.guarded if self() is not None else None

    def is_steady(self) -> bool:
        """Return whether the receiver lives on whatever others do: it is held, or its module has it by its name."""
        anchor = self()
        return self.pinned is not None or (type(anchor) is FunctionType and "<" not in anchor.__qualname__)

    def resolver(self) -> Callable[[], Receiver | None]:
        """Return what gives a send the thing to call: in C, where the receiver is a function or strongly connected."""
        if self.guarded is not None:
            return self._guarded_if_alive
        if self.pinned is not None:
            return itertools.repeat(self.pinned).__next__
        return self if self.method is None else self.receiver


def connection_to(
    bucket: Bucket, receiver: Receiver, key: Hashable, order: int, forget: Callable[[Any], None] | None
) -> Connection:
    """Return a new connection of a receiver, last in the order of connecting, not yet in its bucket.

    `forget` is called for a receiver that is garbage collected; None is for one that the connection holds. Raises
    TypeError for a receiver that has no weak references.
    """
    connection = _strong(receiver) if forget is None else _weak(receiver, forget)
    connection.bucket = bucket
    connection.key = key
    connection.order = order
    connection.seq = next(_places)
    connection.is_async = is_async(receiver)
    connection.guarded = None
    return connection


def _weak(receiver: Any, forget: Callable[[Any], None]) -> Connection:
    owner, method = receiver, None
    if type(receiver) is not FunctionType and hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
        owner, method = receiver.__self__, receiver.__func__
    # The plain reference is for its error, which names the type; Django's own suite looks for this very call.
    weakref.ref(owner)
    connection = Connection(owner, forget)
    connection.method = method
    connection.pinned = None
    return connection


def _strong(receiver: Receiver) -> Connection:
    # The reference is to something that never dies, and not to the receiver: CPython up to 3.12 may crash when it
    # collects a weak reference that holds what it refers to.
    connection = Connection(_strong)
    connection.method = None
    connection.pinned = receiver
    return connection


def is_async(receiver: Receiver) -> bool:
    """Return whether a call gives something to await; it does for an object with `async def __call__`."""
    if type(receiver) is FunctionType:
        # What the library would find out, without asking it: that would be a good part of what connecting costs.
        marked = hasattr(receiver, "_is_coroutine_mark") or hasattr(receiver, "_is_coroutine")
        return bool(receiver.__code__.co_flags & CO_COROUTINE) or (marked and iscoroutinefunction(receiver))
    while isinstance(receiver, functools.partial):
        receiver = receiver.func
    return iscoroutinefunction(receiver) or iscoroutinefunction(getattr(type(receiver), "__call__", None))  # noqa: B004 - asked for what it is


def identity(receiver: Any, dispatch_uid: Hashable | None) -> Hashable:
    """Return what makes a receiver the same one: its dispatch_uid, its name in its file, or the object itself."""
    if dispatch_uid is not None and dispatch_uid != "":
        return (dispatch_uid,)
    name = _name_in_file(receiver)
    return object_identity(receiver) if name is None else name


def object_identity(receiver: Any) -> Hashable:
    """Return the identity of an object; a bound method is its owner and its function."""
    function = getattr(receiver, "__func__", None)
    return id(receiver) if function is None else (id(receiver.__self__), id(function))


def is_name(key: Hashable) -> bool:
    """Return whether an identity is a name, which another object can bear."""
    return isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str)


def _name_in_file(receiver: Any) -> Hashable:
    """Return file and qualified name of a module-level function: a module imported twice is one file."""
    if type(receiver) is not FunctionType or "<" in receiver.__qualname__:
        return None
    filename = _code(receiver).co_filename
    return None if filename.startswith("<") else (filename, receiver.__qualname__)


def _code(function: Any) -> CodeType:
    """Return the code that a function was written as, below its decorators."""
    if "__wrapped__" not in vars(function):
        return function.__code__  # type: ignore[no-any-return]
    return getattr(origin(function), "__code__", function.__code__)  # type: ignore[no-any-return]


def is_reimport(old: Any, new: Any) -> bool:
    """Return whether `new` is what became of `old` when its module was imported again, given that they share a name.

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
    """Return what the module of a function has under its name now, or None."""
    first, *rest = function.__qualname__.split(".")
    return functools.reduce(lambda owner, name: getattr(owner, name, None), rest, function.__globals__.get(first))
