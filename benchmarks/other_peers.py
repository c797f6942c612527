"""The dispatchers that are not Django's."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async

from benchmarks.peer import Peer
from benchmarks.receivers import ORDER, TAKES_PAYLOAD, Order, Receiver, functions, methods
from benchmarks.timing import AsyncCall, Call


class Blinker(Peer):
    """It calls the receivers of a send in no particular order, and passes no signal."""

    name = package = "blinker"
    module = "blinker"

    sends_async = True

    def signal(self) -> Any:
        return import_module("blinker").Signal()

    def sending(self, signal: Any) -> Call:
        sender, instance = Order, ORDER
        return lambda: signal.send(sender, instance=instance, created=True)

    def sending_async(self, signal: Any) -> AsyncCall:
        sender, instance = Order, ORDER
        return lambda: signal.send_async(sender, _sync_wrapper=sync_to_async, instance=instance, created=True)


class Psygnal(Peer):
    """It sends by position, knows no senders, collects no responses, and is compiled."""

    name = package = "psygnal"
    module = "psygnal"
    has_senders = False
    is_weak = False
    connect_rounds = 1

    def signal(self) -> Any:
        return import_module("psygnal").SignalInstance((object, object, object))

    def receivers(self, count: int) -> list[Any]:
        return functions(count, TAKES_PAYLOAD)

    def methods(self, count: int) -> list[Any]:
        return methods(count, "handle_payload")

    def connect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        signal.connect(receiver)

    def disconnect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        signal.disconnect(receiver)

    def sending(self, signal: Any) -> Call:
        sender, instance = Order, ORDER
        return lambda: signal.emit(sender, instance, True)


class PyDispatcher(Peer):
    """It looks at the parameters of each receiver in each send."""

    name = package = "PyDispatcher"
    module = "pydispatch"
    sends_robust = True
    connect_rounds = 1
    is_slow_to_prepare = True

    def __init__(self) -> None:
        self.dispatcher = import_module("pydispatch.dispatcher")
        self.robust = import_module("pydispatch.robust")

    def signal(self) -> Any:
        for table in (self.dispatcher.connections, self.dispatcher.senders, self.dispatcher.sendersBack):
            table.clear()
        return object()

    def connect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        self.dispatcher.connect(receiver, signal, sender)

    def disconnect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        self.dispatcher.disconnect(receiver, signal, sender)

    def sending(self, signal: Any) -> Call:
        sender, instance, dispatcher = Order, ORDER, self.dispatcher
        return lambda: dispatcher.send(signal=signal, sender=sender, instance=instance, created=True)

    def sending_robust(self, signal: Any) -> Call:
        sender, instance, robust = Order, ORDER, self.robust
        return lambda: robust.sendRobust(signal=signal, sender=sender, instance=instance, created=True)


@dataclass(frozen=True, slots=True, eq=False)
class Plugin:
    """The plugin that pluggy registers."""

    order_saved: Receiver


class Pluggy(Peer):
    """It calls plugins, for hooks with a declared signature, and knows no senders."""

    name = package = "pluggy"
    module = "pluggy"
    has_senders = False
    is_weak = False
    has_weak_methods = False
    connect_rounds = 1
    is_slow_to_prepare = True

    def signal(self) -> Any:
        pluggy = import_module("pluggy")
        manager = pluggy.PluginManager("benchmarks")
        manager.add_hookspecs(Plugin(pluggy.HookspecMarker("benchmarks")(_order_saved)))
        return manager

    def receivers(self, count: int) -> list[Any]:
        mark = import_module("pluggy").HookimplMarker("benchmarks")
        return [Plugin(mark(function)) for function in functions(count, TAKES_PAYLOAD)]

    def connect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        signal.register(receiver)

    def disconnect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        signal.unregister(receiver)

    def sending(self, signal: Any) -> Call:
        sender, instance = Order, ORDER
        return lambda: signal.hook.order_saved(sender=sender, instance=instance, created=True)


def _order_saved(sender: object, instance: object, created: object) -> None:
    """Specify the hook."""
