"""AnySignal: what the modules of the dispatcher use of a signal, whichever class it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from heliograph.dispatch.concurrency import Concurrency
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.routes import Table


class AnySignal(Protocol):
    """A signal that this dispatcher runs: one of `heliograph.Signal`, or of Django's class when that is adopted."""

    _rows_have_senders: ClassVar[bool]
    _concurrency: ClassVar[Concurrency]

    @property
    def name(self) -> str:
        """The name it was given, or the module and variable that hold it."""

    @property
    def _table(self) -> Table: ...

    receivers: Any  # the connections in Django's shape

    def send(self, /, *args: Any, **kwargs: Any) -> list[Any]:
        """Call every receiver; the first exception ends the send and is raised."""

    def has_listeners(self, sender: Any = None) -> bool:
        """Return whether a send from this sender would be received."""

    def _live_receivers(self, sender: Any) -> tuple[Sequence[Receiver], Sequence[Receiver]]: ...

    def _attended(self, sender: Any) -> object: ...
