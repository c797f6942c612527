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

    It keeps the sends and calls of all threads and tasks. pytest has the fixture `signals`, and a TestCase the mixin
    `SignalTests`. Assertions take a `sender`, which may be the label of a model, and values of the payload: sends and
    calls count that have these, whatever else they have. An assertion that fails lists what was there, the nearest
    first. Raises RuntimeError for an assertion before the block, and where it is open already.
    """

    def __init__(self) -> None:
        self._kept = KeptEvents()

    def __enter__(self) -> Self:
        self._kept.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._kept.__exit__(*error)

    def assert_sent(self, signal: Any, /, *, sender: Any = None, times: int | None = None, **values: Any) -> Sent:
        """Assert that a signal was sent from this sender with these values, and return the first such `Sent`.

        It was sent once at least, or exactly as many `times`. AssertionError lists what was sent, the nearest first.
        """
        return sends_asserted.assert_sent(self._kept.of(Sent), signal, Wanted(sender, values), times)

    def assert_not_sent(self, signal: Any, /, *, sender: Any = None, **values: Any) -> None:
        """Assert that a signal was not sent from this sender with these values; AssertionError lists such sends.

        Raises TypeError for a name that the signal never sends.
        """
        sends_asserted.assert_not_sent(self._kept.of(Sent), signal, Wanted(sender, values))

    def assert_sent_in_order(self, *signals: Any) -> None:
        """Assert that signals were sent in this order; other signals may be sent in between.

            signals.assert_sent_in_order(post_save, (order_paid, Order))

        Each is a signal, or a pair of a signal and a sender. AssertionError names the first that is missing, and lists
        the sends of these signals.
        """
        sends_asserted.assert_sent_in_order(self._kept.of(Sent), signals)

    def assert_called(
        self, receiver: Receiver, /, *, sender: Any = None, times: int | None = None, **values: Any
    ) -> Called:
        """Assert that a receiver was called for a send from this sender with these values, and return the `Called`.

        It was called once at least, or exactly as many `times`; the first call is returned. AssertionError lists its
        calls, the nearest first, and says for which sends it was not called, and why: its condition, a mute, a policy
        that calls it later.
        """
        return calls_asserted.assert_called(self._kept, receiver, Wanted(sender, values), times)

    def assert_not_called(self, receiver: Receiver, /, *, sender: Any = None, **values: Any) -> None:
        """Assert that a receiver was not called for such a send; AssertionError lists the calls."""
        calls_asserted.assert_not_called(self._kept, receiver, Wanted(sender, values))

    def assert_listening(self, signal: Any, receiver: Receiver, /, *, sender: Any = None, **options: Any) -> Connected:
        """Assert that a receiver is connected to a signal for this sender, and return its `Connected`.

            signals.assert_listening(post_save, index, sender=Order, delivery=OnCommit())

        `options` are options of `Signal.connect`, which must have been written with these values. AssertionError says
        how the receiver is connected instead. Raises TypeError for a signal that Heliograph does not run.
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
        """Call one receiver as a send with these values would, and return its response; no other receiver is called.

            signals.deliver(index, instance=order, changes={"status": ("new", "paid")})

        - Its condition must hold: `NotCalledError` says why the receiver is not called.
        - Values of a signal of a model that are not given are those of an update of the row.
        - `changes` has the old and the new value by the name of the field, and the instance has the new ones already.
          Without it, an instance has changed in the fields that are not saved.
        - A receiver of batches takes an `instance`, or the `batch` of `batch_of()`.
        - A receiver that is called later, such as by `OnCommit()`, is called now.
        - `signal` and `sender` say which send is meant, for a receiver that is connected several times.

        Raises NotCalledError, LookupError for a send that does not reach the receiver, TypeError for values that the
        signal does not send, and what the receiver raises.
        """
        return DescribedSend(receiver, given, signal, sender, changes).response()

    async def adeliver(self, receiver: Receiver, /, **given: Any) -> Any:
        """Do what `deliver` does, in async code and with the same arguments."""
        return await sync_to_async(self.deliver)(receiver, **given)
