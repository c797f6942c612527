"""Connections: receivers as the dispatcher keeps them, referred to weakly, in a bucket for each sender."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Hashable
from types import FunctionType, MethodType
from typing import Any, Protocol

from heliograph.dispatch.identity import Receiver, is_async, is_name, is_reimport, object_identity
from heliograph.dispatch.options import PLAIN, Options

Resolver = Callable[[], Receiver | None]

_numbers = itertools.count()


class IdentityRef(weakref.ref[Any]):
    """A weak reference that is equal to nothing but itself; it is compared and hashed in C."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __deepcopy__(self, memo: dict[int, Any]) -> IdentityRef:
        return self  # as with other weak references


class OptionalCall(Protocol):
    """The protocol of objects that a send calls in place of a receiver with options; `Guarded` implements it."""

    options: Options

    @property
    def receiver(self) -> Receiver:
        """The receiver that the user connected."""

    def release(self) -> None:
        """Let go of the options, once the receiver was garbage collected."""

    def __call__(self, **payload: Any) -> Any:
        """Call the receiver, if it is due."""


class Connection(IdentityRef):
    """One receiver connected to one sender; it refers to the function, or to the owner of the method."""

    __slots__ = ("bucket", "guarded", "is_async", "key", "method", "order", "pinned", "seq")

    bucket: Bucket
    guarded: OptionalCall | None  # how the receiver is called, where it has options
    is_async: bool
    key: Hashable
    method: Receiver | None  # the function of a bound method
    order: int
    pinned: Receiver | None  # the receiver itself, where it is connected strongly
    seq: int  # its number in the order of connecting

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
        # Not a method of Guarded: a route that is out of date must not hold the options of a receiver that has left.
        return self.guarded if self() is not None else None

    def is_steady(self) -> bool:
        """Return whether no other receiver can end its life: the connection holds it, or a module has it by name."""
        anchor = self()
        return self.pinned is not None or (type(anchor) is FunctionType and "<" not in anchor.__qualname__)

    def resolver(self) -> Callable[[], Receiver | None]:
        """Return a function without arguments that returns the object to call, or None; in C for a plain receiver."""
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
    connection.seq = next(_numbers)
    connection.is_async = is_async(receiver)
    connection.guarded = None
    return connection


def _weak(receiver: Any, forget: Callable[[Any], None]) -> Connection:
    owner, method = receiver, None
    if type(receiver) is not FunctionType and hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
        owner, method = receiver.__self__, receiver.__func__
    # This reference is for the error, which names the type; Django's own suite mocks this very call.
    weakref.ref(owner)
    connection = Connection(owner, forget)
    connection.method = method
    connection.pinned = None
    return connection


def _strong(receiver: Receiver) -> Connection:
    # The reference is to a function of this module, and not to the receiver: CPython up to 3.12 may crash when it
    # collects a weak reference that holds its own referent.
    connection = Connection(_strong)
    connection.method = None
    connection.pinned = receiver
    return connection


class Route:
    """The receivers of a send from one sender: filled once, and replaced when the receivers change."""

    __slots__ = ("alive", "concurrent", "epoch", "guarded", "refs", "size", "steady", "sync")

    alive: set[Any]  # loses a member with each receiver that dies
    size: int  # how many members `alive` had when this was filled
    epoch: object  # the table's epoch when this was filled
    sync: tuple[Resolver, ...]
    concurrent: tuple[Resolver, ...]  # the async receivers
    refs: tuple[Resolver, ...] | None  # `sync`, if every receiver is without options and none is async
    guarded: tuple[Resolver, ...] | None  # `sync`, if a receiver has options and none is async
    steady: bool  # whether no receiver can die because of another one

    def __init__(self) -> None:
        self.alive = _NOBODY
        self.size = 0
        self.epoch = None
        self.refs = None
        self.guarded = None


_NOBODY: set[Any] = set()

# The route of every bucket that has none yet: no table has its epoch, so the next send makes another one.
STALE = Route()


class Bucket:
    """The connections of one sender, or of one class and its subclasses."""

    __slots__ = ("alive", "forget", "index", "route", "sender", "sender_id", "shared")

    def __init__(self, sender: Callable[[], Any], sender_id: int, shared: bool = False) -> None:
        self.sender = sender
        self.sender_id = sender_id
        self.shared = shared  # whether it is for more than one sender
        self.alive: set[Connection] = set()
        self.index: dict[Hashable, Connection] = {}
        self.route = STALE
        # Garbage collection calls this for a dead receiver: it is in C, takes no lock, and is one object for all.
        self.forget = self.alive.discard

    def add(self, connection: Connection) -> None:
        # `alive` first: a disconnect that garbage collection runs between the two lines must not find half of it.
        self.alive.add(connection)
        self.index[connection.key] = connection
        if len(self.index) > 2 * len(self.alive) + 8:
            self.index = {key: kept for key, kept in self.index.items() if kept in self.alive}

    def remove(self, connection: Connection) -> None:
        self.index.pop(connection.key, None)
        self.alive.discard(connection)
        connection.guarded = None  # it refers to the connection, and its options live no longer

    def forget_guarded(self, connection: Connection) -> None:
        """Forget a dead receiver with options, and release the options."""
        self.alive.discard(connection)
        if connection.guarded is not None:
            connection.guarded.release()  # another dispatcher may have it
            connection.guarded = None

    def clear(self) -> None:
        for connection in [*self.index.values()]:
            connection.guarded = None
        self.index.clear()
        self.alive.clear()
        self.route = STALE

    def find(self, key: Hashable) -> Connection | None:
        """Return the connection with this key whose receiver is alive."""
        found = self.index.get(key)
        return found if found in self.alive else None

    def find_receiver(self, key: Hashable, receiver: Receiver | None) -> Connection | None:
        """Return the connection of a receiver: of the object itself, or of the function that it is a re-import of."""
        found = self.find(key)
        if receiver is None or not is_name(key):
            return found
        old = found.receiver() if found is not None else None
        if old is receiver:
            return found
        itself = self.find(object_identity(receiver))
        return found if itself is None and old is not None and is_reimport(old, receiver) else itself
