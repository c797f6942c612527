"""Capturing: the sends of a block, recorded for a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.names import is_signal
from heliograph.dispatch.observed_events import Sent
from heliograph.dispatch.scopes import Scope, same_sender


class capture(Scope, Sequence[Sent]):
    """A context manager that records the sends of some signals, or of all, in this thread or task.

        with capture(post_save, sender=Order) as sent:
            order.save()
        sent[0].kwargs["created"]

    It is a sequence of `Sent`. Receivers are called as usual. Raises TypeError for a signal that Heliograph does not
    run.
    """

    def __init__(self, *signals: Any, sender: Any = None) -> None:
        for signal in signals:
            if not is_signal(signal):
                raise TypeError(f"capture() takes signals that Heliograph runs, not {signal!r}.")
        self._signals = signals
        self._sender = sender
        self._sent: list[Sent] = []
        self._attention = [signal._attended(sender) for signal in signals]

    def listens(self, signal: AnySignal, sender: Any) -> bool:
        return (not self._signals or any(signal is wanted for wanted in self._signals)) and (
            self._sender is None or same_sender(sender, self._sender)
        )

    def on_event(self, event: object) -> None:
        if isinstance(event, Sent) and self.listens(event.signal, event.sender):
            self._sent.append(event)

    @overload
    def __getitem__(self, index: int) -> Sent: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sent]: ...
    def __getitem__(self, index: int | slice) -> Sent | list[Sent]:
        return self._sent[index]

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent)

    def __repr__(self) -> str:
        return f"<capture of {len(self)} sends>"

    def assert_sent(self, **kwargs: Any) -> Sent:
        """Return the first captured send that carried these values among others.

        Raises AssertionError, which lists the captured sends, if there is none.
        """
        for sent in self._sent:
            if _carries(sent.kwargs, kwargs):
                return sent
        raise AssertionError(f"No captured send carried {kwargs!r}. {self._listing()}")

    def assert_not_sent(self, **kwargs: Any) -> None:
        """Raise AssertionError, which lists the captured sends, if one carried these values among others."""
        if any(_carries(sent.kwargs, kwargs) for sent in self._sent):
            raise AssertionError(f"A captured send carried {kwargs!r}. {self._listing()}")

    def _listing(self) -> str:
        lines = [f"  {sent.signal.name} from {sent.sender!r}: {dict(sent.kwargs)!r}" for sent in self._sent]
        return "\n".join(["Captured:", *lines]) if lines else "Nothing was captured."


def _carries(sent: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in sent and sent[name] == value for name, value in wanted.items())
