"""Django's shape: the list `receivers` of a signal, which other packages read and assign."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.connections import Bucket, Connection
from heliograph.dispatch.guarded import Guarded, connection_with
from heliograph.dispatch.identity import identity, object_identity
from heliograph.dispatch.options import PLAIN, Options
from heliograph.dispatch.routes import Table, nobody, registering


class Row(tuple[Any, ...]):
    """A connection in Django's shape: ((key, id of the sender), receiver or reference, sender, whether it is async)."""

    connection: Connection | None = None
    options: Options = PLAIN  # the connection itself forgets them when it is disconnected


class ReceiverList(list[Any]):
    """The rows of a signal; changing this list changes the signal, as long as no other list was assigned to it."""

    def __init__(self, signal: AnySignal, rows: Iterable[Any]) -> None:
        super().__init__(rows)
        self._signal = signal
        self._shown = signal._table.shown

    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (list(self),)


def _writing(name: str) -> Callable[..., Any]:
    change = getattr(list, name)

    def method(self: ReceiverList, *args: Any, **kwargs: Any) -> Any:
        if self._shown is not self._signal._table.shown:
            return change(self, *args, **kwargs)
        list.__init__(self, rows(self._signal))  # with those who have connected since
        result = change(self, *args, **kwargs)
        self._signal.receivers = self
        self._shown = self._signal._table.shown
        return result

    method.__name__ = name
    return method


for _name in ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"):
    setattr(ReceiverList, _name, _writing(_name))
for _name in ("__delitem__", "__iadd__", "__imul__", "__setitem__"):
    setattr(ReceiverList, _name, _writing(_name))


def rows(signal: AnySignal) -> ReceiverList:
    """Return the rows of a signal, in the order in which the receivers are called."""
    connections = ((connection, connection.receiver()) for connection in signal._table.connections())
    shown = (_row(one, receiver, signal._rows_have_senders) for one, receiver in connections if receiver is not None)
    return ReceiverList(signal, shown)


def _row(connection: Connection, receiver: Any, with_sender: bool) -> Row:
    key, bucket = connection.key, connection.bucket
    keys = (key[0] if isinstance(key, tuple) and len(key) == 1 else object_identity(receiver), bucket.sender_id)
    sender_ref = bucket.sender if isinstance(bucket.sender, weakref.ReferenceType) else None
    rest = (sender_ref, connection.is_async) if with_sender else (connection.is_async,)
    row = Row((keys, _reference(connection, receiver), *rest))
    row.connection = connection
    row.options = PLAIN if connection.guarded is None else connection.guarded.options
    return row


def _reference(connection: Connection, receiver: Any) -> Any:
    """Return the second item of a row, which another dispatcher can call: a receiver or reference, or a Guarded."""
    if connection.guarded is not None:
        return connection.guarded
    if connection.pinned is not None:
        return receiver
    return connection if connection.method is None else weakref.WeakMethod(receiver)


class Attached:
    """The value of `receivers` in the `__dict__` of a signal; it keeps the rows that another list has replaced.

    `mock.patch.object` reads the attribute there before it replaces it, and assigns it again in the end.
    """

    rows: Iterable[Any] = ()


def assign(signal: AnySignal, new: Any) -> None:
    """Replace the receivers of a signal by a list of rows, or by what it had before it was given another list."""
    table, held = signal._table, signal.__dict__["receivers"]
    held.rows = rows(signal)
    put(table, new.rows if isinstance(new, Attached) else new)
    signal.__dict__["receivers"] = Attached()


def put(table: Table, rows: Iterable[Any]) -> None:
    """Make these rows the only connections of a table; they are our own, or plain tuples in Django's shape."""
    rows = list(rows)
    with registering:
        table.clear()
        table.shown = object()
        for row in rows:
            restored = _restored(table, row) if getattr(row, "connection", None) else _made_by_hand(table, row)
            if restored is not None and (receiver := restored.receiver()) is not None:
                table.connect(restored, receiver)


def _restored(table: Table, row: Any) -> Connection | None:
    """Return a connection like the one that a row of ours shows, or None where its receiver or sender is dead."""
    old = row.connection
    receiver, bucket = old.receiver(), _bucket_like(table, old.bucket)
    if receiver is None or bucket is None:
        return None
    return connection_with(row.options, bucket, receiver, old.key, old.pinned is None, old.order)


def _bucket_like(table: Table, old: Bucket) -> Bucket | None:
    if old.sender is nobody:
        return table.anyone if old.shared else table.bucket_of_id(old.sender_id)
    sender = old.sender()
    return None if sender is None else table.bucket_of(sender, subclasses=old.shared)


def _made_by_hand(table: Table, row: Any) -> Connection | None:
    """Return the connection that a plain tuple in Django's shape asks for, or None where it refers to the dead."""
    (uid, sender_id), reference, *rest = row
    weak, options = isinstance(reference, weakref.ReferenceType), PLAIN
    receiver = reference() if weak else reference
    if type(receiver) is Guarded:  # which another dispatcher has had in the meantime
        weak, options = receiver.connection.pinned is None, receiver.options
        receiver = receiver.connection.receiver()
    if receiver is None:
        return None
    sender_ref = rest[0] if len(rest) == 2 else None
    sender = _with_id(sender_id) if sender_ref is None else sender_ref()
    if sender is None and sender_ref is not None:  # another object may have its id now
        return None
    bucket = table.bucket_of_id(sender_id) if sender is None and sender_id != id(None) else table.bucket_of(sender)
    key = identity(receiver, None if uid == object_identity(receiver) else uid)
    return connection_with(options, bucket, receiver, key, weak, order=0)


def _with_id(sender_id: int) -> Any:
    """Return the sender of a row of Django 5.2, which has nothing but its id; None where it cannot be found."""
    if sender_id == id(None):
        return None
    return next((sender for sender in all_objects() if id(sender) == sender_id), None)


def all_objects() -> list[Any]:
    """Return the objects that the garbage collector knows, also the objects that `gc.freeze()` hides before a fork."""
    frozen = gc.get_freeze_count()
    if frozen:
        gc.unfreeze()
    objects = gc.get_objects()
    if frozen:
        gc.freeze()
    return objects
