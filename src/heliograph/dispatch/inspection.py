"""Inspection: who is connected to a signal, as records that a program can read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from heliograph.dispatch.connections import Connection
from heliograph.dispatch.describe import full_name, source
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.names import is_signal


@dataclass(frozen=True, slots=True)
class Connected:
    """One receiver that was connected to one sender of a signal when `inspect()` was called.

    - `receiver`: the function, or None if it was garbage collected meanwhile. The record holds it.
    - `name`: the name of the receiver with its module, such as "shop.receivers.send_receipt".
    - `sender`: the sender, or None for every sender; `subclasses` says whether its subclasses are meant too.
    - `dispatch_uid`, `order` and `weak`: as they were given to `Signal.connect`.
    - `options`: a read-only mapping of the other options as they were written, without those that have their default.
    - `file` and `line`: where the receiver stands, or None where there is no Python source.
    """

    receiver: Receiver | None  # None if it was garbage collected meanwhile
    name: str  # with its module
    sender: Any  # None for every sender
    subclasses: bool
    dispatch_uid: Hashable | None
    order: int
    weak: bool
    options: Mapping[str, Any]  # as they were written, without those that have their default
    file: str | None  # None where there is no Python source
    line: int | None


def inspect(signal: Any) -> tuple[Connected, ...]:
    """Return a record of each receiver that is connected to a signal, in the order of their calls.

    Raises TypeError for a signal that another dispatcher runs.
    """
    if not is_signal(signal):
        raise TypeError(f"inspect() takes a signal that Heliograph runs, not {signal!r}.")
    return tuple(_record(one) for one in connections_of(signal))


def connections_of(signal: Any) -> list[Connection]:
    """Return the connections of a signal that this dispatcher runs, for packages that read the facts in them."""
    connections: list[Connection] = signal._table.connections()
    return connections


def connections_to(signal: Any, sender: Any) -> list[Connection]:
    """Return the connections that receive from a sender, as a send would call them: async ones after the others.

    Raises TypeError for a signal that another dispatcher runs.
    """
    if not is_signal(signal):
        raise TypeError(f"Heliograph knows the receivers of signals that it runs, and {signal!r} is no such signal.")
    connections: list[Connection] = signal._table.connections_to(sender)
    return sorted(connections, key=attrgetter("is_async"))


def _record(connection: Connection) -> Connected:
    receiver = connection.receiver()
    file, line = (receiver and source(receiver)) or (None, None)
    return Connected(
        receiver=receiver,
        name="a receiver that was garbage collected" if receiver is None else full_name(receiver),
        sender=connection.sender,
        subclasses=connection.is_of_subclasses,
        dispatch_uid=connection.dispatch_uid,
        order=connection.order,
        weak=connection.pinned is None,
        options=MappingProxyType(connection.options.written()),
        file=file,
        line=line,
    )
