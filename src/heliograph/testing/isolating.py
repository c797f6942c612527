"""Isolation of a test: what it connects and declares ends with it, and what it disconnects is back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from heliograph.dispatch import live_signals
from heliograph.dispatch.inspection import connections_of
from heliograph.testing.blocks import Block
from heliograph.testing.declared_before import DeclaredBefore


class isolated(Block):  # noqa: N801 - it is used like a function
    """A context manager and decorator: what a block connects and declares is gone after it.

        with isolated():
            post_save.connect(index, sender=Order)

    What it disconnects is back. Declarations are calls of recipes such as `keep()`, of `audit()`, and of
    `context.declare()`. All is restored also if the block raises an error, and for the whole process, since connecting
    is for the whole process. It decorates async functions too.
    """

    def block(self) -> AbstractContextManager[None]:
        return _isolation()


@contextmanager
def _isolation() -> Iterator[None]:
    declared, connected = DeclaredBefore(), _ConnectedBefore()
    with ExitStack() as at_end:  # which calls the last one first
        at_end.callback(declared.restore)
        at_end.callback(connected.restore, declared)
        at_end.callback(declared.disconnect_newer)
        yield


class _ConnectedBefore:
    """The connections of all signals when a block began."""

    def __init__(self) -> None:
        self._signals = [(signal, connections_of(signal), signal.receivers) for signal in live_signals()]

    def restore(self, declared: DeclaredBefore) -> None:
        """Restore the connections, without the receivers of declarations that will connect them again."""
        for signal, connections, rows in self._signals:
            if connections_of(signal) != connections:
                signal.receivers = [row for row in rows if not declared.connects_again(row.options)]
        known = {id(signal) for signal, _, _ in self._signals}
        for signal in live_signals():
            if id(signal) not in known:
                signal.receivers = []
