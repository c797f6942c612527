"""The durable receivers of this process, by the names that their deliveries have in the table."""

from __future__ import annotations

import itertools
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakSet

from django.db.models.base import ModelBase
from django.db.models.signals import ModelSignal

from heliograph.catalogue import entry_of
from heliograph.conditions import watched
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.guarded import Guarded
from heliograph.dispatch.inspection import connections_of
from heliograph.dispatch.names import is_signal
from heliograph.dispatch.options import Fact, Options
from heliograph.dispatch.verification import parameters_of
from heliograph.outbox.durable.durable_options import DurableOptions
from heliograph.outbox.durable.stored_names import LONGEST_NAME, label_of, name_of

_numbers = itertools.count()


class DurableReceiver(Fact):
    """A durable receiver that is connected: its name, its options, and what its deliveries need to know of it.

    The options of the connection hold it, so that it is there for as long as the receiver is connected.
    """

    def __init__(self, name: str, receiver: Any, target: Target, policy: DurableOptions, options: Options) -> None:
        self.name = name if len(name) <= LONGEST_NAME else f"{name[:220]} {zlib.crc32(name.encode()):08x}"
        self.policy = policy
        self.sender = label_of(target.sender)  # its name in the table
        self._signal = weakref.ref(target.signal)
        self.model: Any = target.sender if isinstance(target.sender, ModelBase) else None
        self.is_guarded = options.reentrant != "allow"  # against being re-entered for an instance
        self._when = options.when
        self._names = _names_of(receiver)
        self._receiver: Callable[[], Any] = _reference(receiver)
        self._number = next(_numbers)
        _receivers.add(self)

    def asks_for(self, name: str) -> bool:
        """Return whether the receiver has a parameter of this name, or has a signature that Python cannot read."""
        return self._names is None or name in self._names

    def has_parameter(self, name: str) -> bool:
        """Return whether the receiver has a parameter of this name."""
        return self._names is not None and name in self._names

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields whose changes the condition of the receiver asks for."""
        return () if self._when is None else watched(self._when)

    @property
    def asks_for_delivery(self) -> bool:
        """Whether the receiver has a parameter for its own delivery."""
        return self.has_parameter("delivery")

    def receiver(self) -> Any:
        """Return the receiver, or None once it was garbage collected."""
        return self._receiver()

    def live_signal(self) -> Any:
        """Return the signal that the receiver is connected to, or None once that was garbage collected."""
        return self._signal()

    def is_about(self, model: Any) -> bool:
        """Return whether the signal is about rows of a model, which is the sender, a parent of it, or a subclass."""
        signal = self.live_signal()
        entry = entry_of(signal)
        if not isinstance(signal, ModelSignal) and (entry is None or entry.sent_by != "models"):
            return False
        return self.model is None or issubclass(model, self.model) or issubclass(self.model, model)

    @cached_property
    def signal(self) -> str:
        """The name of the signal that the receiver is connected to."""
        return name_of(self._signal())

    def __lt__(self, other: DurableReceiver) -> bool:
        return self._number < other._number


_receivers: WeakSet[DurableReceiver] = WeakSet()


def _names_of(receiver: Any) -> frozenset[str] | None:
    """Return the names of the parameters of a receiver; None if Python cannot read its signature."""
    parameters = parameters_of(receiver)
    return None if parameters is None else frozenset(one.name for one in parameters)


def _reference(receiver: Any) -> Callable[[], Any]:
    if hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
        return weakref.WeakMethod(receiver)
    return weakref.ref(receiver)


def known() -> Mapping[str, list[DurableReceiver]]:
    """Return the receivers that are connected, by name."""
    found: dict[str, list[DurableReceiver]] = {}
    for one in sorted(_connected()):
        found.setdefault(one.name, []).append(one)
    return found


def _connected() -> set[DurableReceiver]:
    """Return the receivers that are still connected: one that was disconnected may wait for garbage collection."""
    signals = {id(signal): signal for durable in _receivers.copy() if (signal := durable.live_signal()) is not None}
    found = [options.find(DurableReceiver) for signal in signals.values() for options in _options_at(signal)]
    return {durable for durable in found if durable is not None and durable.receiver() is not None}


def _options_at(signal: Any) -> list[Options]:
    if is_signal(signal):
        return [connection.options for connection in connections_of(signal)]
    # Another dispatcher runs the signal, and has what we have connected as the receiver.
    return [part.options for entry in signal.receivers for part in entry if type(part) is Guarded]


def former_names(receivers: Mapping[str, list[DurableReceiver]]) -> Mapping[str, str]:
    """Return the former names of receivers, each with the present name, without names that another receiver has now."""
    former = {
        alias: durable.name for of_name in receivers.values() for durable in of_name for alias in durable.policy.aliases
    }
    return {alias: name for alias, name in former.items() if alias not in receivers}


def chosen(receivers: Sequence[DurableReceiver], signal: str, sender: str) -> DurableReceiver:
    """Return which of the receivers with one name receives a send; of several, the one that was connected last."""
    return max(receivers, key=lambda one: (one.signal == signal, one.sender == sender, one))
