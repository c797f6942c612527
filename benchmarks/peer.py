"""The base class of the dispatchers that the benchmarks compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from benchmarks.facts import BARE
from benchmarks.receivers import ORDER, Order, Receiver, functions, methods
from benchmarks.timing import AsyncCall, Call


class Peer:
    """A dispatcher: what a signal is in it, and how one connects to it and sends."""

    name: ClassVar[str]
    package: ClassVar[str] = ""  # what is to be installed
    module: ClassVar[str] = ""
    sends_robust: ClassVar[bool] = False
    sends_async: ClassVar[bool] = False
    has_senders: ClassVar[bool] = True
    is_weak: ClassVar[bool] = True  # whether a function that is dropped leaves by itself
    has_weak_methods: ClassVar[bool] = True
    has_thread_safety: ClassVar[bool] = False  # whether it says so, or can be seen to
    connect_rounds: ClassVar[int] = 15  # how often connecting 10,000 is measured: less where it takes seconds
    is_slow_to_prepare: ClassVar[bool] = False  # whether even `connect_all` takes seconds

    def signal(self) -> Any:
        """Return a signal without receivers."""
        raise NotImplementedError

    def receivers(self, count: int) -> list[Any]:
        """Return functions, in the shape that this dispatcher takes."""
        return functions(count)

    def methods(self, count: int) -> list[Any]:
        """Return bound methods that it takes."""
        return methods(count)

    def connect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        """Connect one receiver."""
        signal.connect(receiver, sender=sender)

    def connect_all(self, signal: Any, receivers: Sequence[Receiver], sender: Any) -> None:
        """Connect many receivers where it is not the connecting that is measured."""
        for receiver in receivers:
            self.connect(signal, receiver, sender)

    def disconnect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        """Disconnect one receiver."""
        signal.disconnect(receiver, sender=sender)

    def sending(self, signal: Any) -> Call:
        """Return the send that is measured."""
        sender, instance = Order, ORDER
        return lambda: signal.send(sender=sender, instance=instance, created=True)

    def sending_robust(self, signal: Any) -> Call:
        """Return the send whose receivers may raise, where there is one."""
        raise NotImplementedError

    def sending_async(self, signal: Any) -> AsyncCall:
        """Return the send from async code, where there is one."""
        raise NotImplementedError


class BareLoop(Peer):
    """No dispatcher at all: what the calls themselves cost."""

    name = BARE
    is_weak = False
    has_senders = False
    has_weak_methods = False

    def signal(self) -> Any:
        return []

    def connect(self, signal: Any, receiver: Receiver, sender: Any) -> None:
        signal.append(receiver)

    def sending(self, signal: Any) -> Call:
        sender, instance = Order, ORDER
        return lambda: [(one, one(signal=signal, sender=sender, instance=instance, created=True)) for one in signal]
