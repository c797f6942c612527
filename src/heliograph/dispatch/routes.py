"""Routes: which receivers a send calls, and in which order."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Hashable, Iterable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any

from heliograph.dispatch.connections import STALE, Bucket, Connection, IdentityRef, Route
from heliograph.dispatch.identity import Receiver, is_name, object_identity
from heliograph.dispatch.undoing import undone_by

# One lock for the connecting and disconnecting of all signals: no two locks can be taken in two orders. It is
# re-entrant, since a __del__ that garbage collection runs in the middle may disconnect. No send takes it.
registering = threading.RLock()
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    # A child must not wait for a thread that it does not have.
    os.register_at_fork(after_in_child=registering._at_fork_reinit)  # type: ignore[attr-defined]

_in_order = attrgetter("order", "seq")


class Table:
    """The buckets of one signal, and the routes made from them."""

    __slots__ = ("anyone", "buckets", "default", "epoch", "families", "shown", "silent", "sweep_at", "values")

    def __init__(self) -> None:
        self.anyone = Bucket(nobody, id(None), shared=True)
        self.buckets = {id(None): self.anyone}  # by id(sender), for as long as the sender lives
        self.values: dict[Hashable, Bucket] = {}  # of senders without weak references, such as strings
        self.families: dict[int, Bucket] = {}  # by id(class): receivers with subclasses=True
        self.epoch = object()  # a new one whenever a shared bucket changes
        self.default = self.anyone  # its route is for senders that are not in `buckets`
        self.silent = True  # whether there is no connection at all; if in doubt, False
        self.sweep_at = 64
        self.shown = object()  # a new one whenever all connections are replaced

    def route(self, sender: Any) -> Route:
        """Return the route of a send from `sender`."""
        bucket = self.buckets.get(id(sender)) or self.bucket_for(sender)
        route = bucket.route
        if route.epoch is self.epoch and len(route.alive) == route.size:
            return route
        return self._fill(bucket, sender)

    def bucket_for(self, sender: Any) -> Bucket:
        """Return the bucket whose route a send from `sender` takes."""
        bucket = self.existing(sender)
        if bucket is None and not self.silent and isinstance(sender, type):
            bucket = self._bucket_of_weak(sender)  # so that the next send finds its route at once
        return self.anyone if bucket is None else bucket

    def existing(self, sender: Any, subclasses: bool = False) -> Bucket | None:
        """Return the bucket of a sender, if it has one."""
        if subclasses:
            return self.families.get(id(sender))
        bucket = self.buckets.get(id(sender))
        return self.values.get(value_key(sender)) if bucket is None and self.values else bucket

    def connections(self) -> list[Connection]:
        """Return all connections, in the order in which they would be called."""
        return _in_calling_order(self._buckets())

    def connections_to(self, sender: Any) -> list[Connection]:
        """Return the connections that receive from a sender, in the order in which they would be called."""
        return _in_calling_order(self._sources(self.bucket_for(sender), sender))

    def _buckets(self) -> list[Bucket]:
        return [*self.buckets.copy().values(), *self.families.copy().values()]

    def _fill(self, bucket: Bucket, sender: Any) -> Route:
        """Make a route. It is stored empty and filled then, so that a change in between replaces it."""
        epoch = self.epoch
        route = bucket.route = Route()
        sources = [source for source in self._sources(bucket, sender) if source.alive]
        if not sources:
            self._find_silence()
        connections = _in_calling_order(sources)
        if len(sources) == 1:
            route.alive, route.size = sources[0].alive, len(connections)
        else:
            route.alive = _tripwires(connections)
            route.size = len(route.alive)
        route.sync = tuple(one.resolver() for one in connections if not one.is_async)
        route.concurrent = tuple(one.resolver() for one in connections if one.is_async)
        route.epoch = epoch
        if route.concurrent:
            return route
        if any(one.guarded is not None for one in connections):
            route.guarded = route.sync
        else:
            route.steady = len(connections) == 1 or all(one.is_steady() for one in connections)
            route.refs = route.sync
        return route

    def _find_silence(self) -> None:
        """Set `silent` if no receiver is left; do not wait for the lock, since another thread may be connecting one."""
        if registering.acquire(blocking=False):
            self.silent = not any(bucket.alive for bucket in self._buckets())
            registering.release()

    def _sources(self, bucket: Bucket, sender: Any) -> Iterator[Bucket]:
        yield self.anyone
        if bucket is not self.anyone:
            yield bucket
        if self.families and bucket is not self.anyone and isinstance(sender, type):
            families = (self.families.get(id(base)) for base in sender.__mro__)
            yield from (family for family in families if family is not None)

    # --- changes: the caller holds the lock -------------------------------------------------------------------

    def connect(self, connection: Connection, receiver: Receiver) -> None:
        """Add a connection, unless the receiver has one; a function that was imported again takes its old one over."""
        bucket, key = connection.bucket, connection.key
        is_known = bool(bucket.index) and (key in bucket.index or object_identity(receiver) in bucket.index)
        rival = bucket.find_receiver(key, receiver) if is_known else None
        if rival is not None:
            if not is_name(connection.key) or rival.receiver() is receiver:
                connection.guarded = None  # which refers back to it
                return
            connection.seq = rival.seq
            undone_by(self._connect_again, rival, rival.guarded)
            bucket.remove(rival)
        elif is_known and bucket.find(key) is not None:
            connection.key = object_identity(receiver)
        self._add(connection)
        undone_by(self._disconnect, connection)

    def _add(self, connection: Connection) -> None:
        bucket = connection.bucket
        bucket.add(connection)
        self.silent = False  # after it: a send that a signal handler makes in between finds nobody yet
        if _is_strong(bucket):  # a finalizer that ran meanwhile may have found it empty, and dropped it
            self._keep(bucket)
        self.changed(bucket)

    def _connect_again(self, rival: Connection, guarded: Any) -> None:
        """Restore a connection that another one has replaced."""
        with registering:
            rival.guarded = guarded
            self._add(rival)

    def _disconnect(self, connection: Connection) -> None:
        with registering:
            if connection.bucket.index.get(connection.key) is connection:
                self.disconnect(connection)

    def disconnect(self, connection: Connection) -> None:
        """Remove a connection."""
        bucket = connection.bucket
        bucket.remove(connection)
        self.changed(bucket)
        if not bucket.alive and _is_strong(bucket):
            self._drop(bucket)

    def changed(self, bucket: Bucket) -> None:
        """Make the routes with receivers of a bucket out of date."""
        if bucket.shared:
            self.epoch = object()
        bucket.route = STALE

    def clear(self) -> None:
        """Remove all connections."""
        for bucket in self._buckets():
            bucket.clear()
        self.epoch = object()

    def bucket_of(self, sender: Any, subclasses: bool = False) -> Bucket:
        """Return the bucket of a sender, made where there is none."""
        bucket = self.existing(sender, subclasses)
        if bucket is not None:
            return bucket
        if subclasses:
            return self._family_of(sender)
        try:
            return self._bucket_of_weak(sender)
        except TypeError:
            return self._bucket_of_strong(sender)

    def bucket_of_id(self, sender_id: int) -> Bucket:
        """Return the bucket of a sender of which only the id is known, from a row of Django's `receivers`."""
        return self.buckets.setdefault(sender_id, Bucket(nobody, sender_id))

    def _family_of(self, sender: type) -> Bucket:
        self.default = _OPAQUE
        family = Bucket(weakref.ref(sender, partial(_sender_died, self.families, id(sender))), id(sender), shared=True)
        return self.families.setdefault(id(sender), family)

    def _bucket_of_weak(self, sender: Any) -> Bucket:
        bucket = Bucket(weakref.ref(sender, partial(_sender_died, self.buckets, id(sender))), id(sender))
        return self.buckets.setdefault(id(sender), bucket)

    def _bucket_of_strong(self, sender: Any) -> Bucket:
        """Make the bucket of a sender without weak references: it holds the sender, so no other object gets its id."""
        self._sweep()
        if not _is_only_itself(sender):
            self.default = _OPAQUE  # an equal sender with another id belongs here too
        bucket = self.existing(sender) or Bucket(partial(_held, sender), id(sender))
        self._keep(bucket)
        return bucket

    def _keep(self, bucket: Bucket) -> None:
        self.buckets[bucket.sender_id] = self.values[value_key(bucket.sender())] = bucket

    def _sweep(self) -> None:
        """Drop the held senders whose receivers have all died, each time the number of held senders has doubled."""
        if len(self.values) < self.sweep_at:
            return
        for bucket in [bucket for bucket in self.values.values() if not bucket.alive]:
            self._drop(bucket)
        self.sweep_at = 2 * len(self.values) + 64

    def _drop(self, bucket: Bucket) -> None:
        sender = bucket.sender()
        self.buckets.pop(id(sender), None)
        self.values.pop(value_key(sender), None)


def _in_calling_order(buckets: Iterable[Bucket]) -> list[Connection]:
    return sorted((one for bucket in buckets for one in bucket.alive.copy()), key=_in_order)


def nobody() -> None:
    """Stand in for the reference to a sender, where there is none."""


# The bucket of senders that are known by their value or by their class: it has no route, so that a send looks closer.
_OPAQUE = Bucket(nobody, 0)


def _sender_died(buckets: dict[int, Bucket], sender_id: int, reference: object) -> None:
    """Drop the bucket of a sender, before another object can have its id; empty it, so that no cycle is left."""
    buckets.pop(sender_id, _OPAQUE).clear()


def _held(sender: Any) -> Any:
    return sender


def _is_only_itself(sender: Any) -> bool:
    equality: Any = type(sender).__eq__
    return equality is object.__eq__


def _is_strong(bucket: Bucket) -> bool:
    return isinstance(bucket.sender, partial)


def value_key(sender: Any) -> Hashable:
    """Return the key of a sender: equal for equal values of one type, and the id of a value without a hash."""
    try:
        hash(sender)
    except TypeError:
        return id(sender)
    return (type(sender), sender)


def _tripwires(connections: list[Connection]) -> set[Any]:
    """Return a set that loses a member when one of these receivers dies, whatever bucket it is in."""
    alive: set[Any] = set()
    forget = alive.discard
    anchors = (one() for one in connections)
    alive.update(IdentityRef(anchor, forget) for anchor in anchors if anchor is not None)
    return alive
