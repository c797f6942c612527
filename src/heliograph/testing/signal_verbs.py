"""The verbs for signals and receivers: what was sent, and who was called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from asgiref.sync import sync_to_async

from heliograph.dispatch import Called, Connected, Sent
from heliograph.testing import calls_asserted, listening_receivers, sends_asserted
from heliograph.testing.due_calls import DescribedSend
from heliograph.testing.kept_events import KeptEvents
from heliograph.testing.matching import Wanted
from heliograph.testing.writes_under_way import Changes

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

Receiver = Callable[..., Any]


class Signals:
    """A context manager that keeps what is sent and called while it is open, and asserts about it.

        with Signals() as signals:
            order.save()
        signals.assert_sent(post_save, sender=Order, created=True)

    It keeps the sends and calls of all threads and tasks. pytest has the fixture `signals`, and a TestCase
    `SignalTests`. A send or a call has the wanted values if its payload has them among others. An assertion that fails
    lists what was there, the nearest first.
    """

    def __init__(self) -> None:
        self._kept = KeptEvents()

    def __enter__(self) -> Self:
        self._kept.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._kept.__exit__(*error)

    def assert_sent(self, signal: Any, /, *, sender: Any = None, times: int | None = None, **values: Any) -> Sent:
        """Return the first `Sent` of a signal from this sender, with these values among others.

        With `times`, there must be exactly so many. AssertionError lists what was sent, the nearest first.
        """
        return sends_asserted.assert_sent(self._kept.of(Sent), signal, Wanted(sender, values), times)

    def assert_not_sent(self, signal: Any, /, *, sender: Any = None, **values: Any) -> None:
        """Raise AssertionError, which lists the sends, if a signal was sent from this sender with these values."""
        sends_asserted.assert_not_sent(self._kept.of(Sent), signal, Wanted(sender, values))

    def assert_sent_in_order(self, *signals: Any) -> None:
        """Raise AssertionError unless signals were sent in this order, perhaps with others in between.

        Each is a signal, or a pair of a signal and a sender.
        """
        sends_asserted.assert_sent_in_order(self._kept.of(Sent), signals)

    def assert_called(
        self, receiver: Receiver, /, *, sender: Any = None, times: int | None = None, **values: Any
    ) -> Called:
        """Return the first `Called` of a receiver for a send from this sender, with these values among others.

        With `times`, there must be exactly so many. AssertionError lists its calls, the nearest first, and says for
        which sends it was not called, and why.
        """
        return calls_asserted.assert_called(self._kept, receiver, Wanted(sender, values), times)

    def assert_not_called(self, receiver: Receiver, /, *, sender: Any = None, **values: Any) -> None:
        """Raise AssertionError, which lists the calls, if a receiver was called for such a send."""
        calls_asserted.assert_not_called(self._kept, receiver, Wanted(sender, values))

    def assert_listening(self, signal: Any, receiver: Receiver, /, *, sender: Any = None, **options: Any) -> Connected:
        """Return the `Connected` of a receiver that is connected to a signal, for this sender, with these options.

        Options are those of `Signal.connect`, and count as they were written. AssertionError says how the receiver is
        connected instead. Raises TypeError for a signal that Heliograph does not run.
        """
        return listening_receivers.assert_listening(signal, receiver, sender, options)

    def deliver(
        self,
        receiver: Receiver,
        /,
        *,
        signal: Any = None,
        sender: Any = None,
        changes: Changes | None = None,
        **given: Any,
    ) -> Any:
        """Call one receiver as a send with these values would, and return its response.

        Its condition must hold: `NotCalledError` says why it is not called. Values of a signal of a model that are not
        given are those of an update. `changes` has pairs of the old and the new value by the names of the fields;
        without it, fields that were assigned and not saved count as changed. A receiver of batches takes an `instance`,
        or the `batch` of `batch_of()`. A receiver whose policy calls it later is called now. `signal` and `sender` are
        for a receiver that is connected several times.

        Raises NotCalledError if the receiver is not due, LookupError for a receiver that is not connected so, TypeError
        for values that the signal does not send, and what the receiver raises.
        """
        return DescribedSend(receiver, given, signal, sender, changes).response()

    async def adeliver(self, receiver: Receiver, /, **given: Any) -> Any:
        """Do what `deliver` does, in async code and with the same arguments."""
        return await sync_to_async(self.deliver)(receiver, **given)
