"""Verbs for tests of signals and receivers, the same in pytest and in `TestCase`.

`Signals` keeps what is sent and called while it is open, in all threads and tasks, and asserts about it: `assert_sent`,
`assert_called`. `Outbox` has the verbs for durable receivers: `drain`, `perform`. Both are context managers. A test of
pytest gets them by the fixtures `signals` and `outbox`; a `TestCase` by the mixins `SignalTests` and `OutboxTests`,
which open them around each test. Nothing is wrapped or disconnected: the verbs read the events that observers get. A
failed assertion lists what was there, the nearest first, and says why a receiver was not called. Two functions prove
receivers: `rolled_back` finds effects that a rollback does not undo, and `redelivered` makes each delivery twice.

    class OrderTests(OutboxTests, TestCase):
        def test_a_paid_order_is_confirmed(self):
            order = pay(Order.objects.create())

            self.signals.assert_sent(order_paid, order=order)
            self.outbox.drain()
            self.signals.assert_called(confirm, order=order)
"""

from typing import TYPE_CHECKING

from heliograph.lazy_names import lazy_names

if TYPE_CHECKING:
    from heliograph.dispatch import mute
    from heliograph.testing.batches_described import batch_of
    from heliograph.testing.due_calls import NotCalledError
    from heliograph.testing.isolating import isolated
    from heliograph.testing.outbox_test_case import OutboxTests
    from heliograph.testing.outbox_verbs import Outbox
    from heliograph.testing.query_budgets import max_queries
    from heliograph.testing.redelivering import Redelivered, redelivered
    from heliograph.testing.rolling_back import rolled_back
    from heliograph.testing.signal_test_case import SignalTests
    from heliograph.testing.signal_verbs import Signals
    from heliograph.testing.silencing import only
    from heliograph.testing.stored_deliveries import Enqueued

__all__ = [
    "Enqueued",
    "NotCalledError",
    "Outbox",
    "OutboxTests",
    "Redelivered",
    "SignalTests",
    "Signals",
    "batch_of",
    "isolated",
    "max_queries",
    "mute",
    "only",
    "redelivered",
    "rolled_back",
]

# The module of each public name. The outbox needs its app, which a project may not have.
_MODULES = {
    "Enqueued": "stored_deliveries",
    "NotCalledError": "due_calls",
    "Outbox": "outbox_verbs",
    "OutboxTests": "outbox_test_case",
    "Redelivered": "redelivering",
    "SignalTests": "signal_test_case",
    "Signals": "signal_verbs",
    "batch_of": "batches_described",
    "isolated": "isolating",
    "max_queries": "query_budgets",
    "mute": "silencing",
    "only": "silencing",
    "redelivered": "redelivering",
    "rolled_back": "rolling_back",
}

__getattr__ = lazy_names(__name__, _MODULES)
