"""The mixin that gives each test of a `TestCase` the verbs for signals and for the outbox."""

from __future__ import annotations

import unittest

from heliograph.testing.outbox_verbs import Outbox
from heliograph.testing.signal_test_case import SignalTests


class OutboxTests(SignalTests):
    """A mixin for a TestCase of Django: `self.outbox` is an `Outbox`, and `self.signals` is that of `SignalTests`.

        class OrderTests(OutboxTests, TestCase):
            def test_a_paid_order_is_confirmed(self):
                pay(order)
                self.outbox.drain()
                self.signals.assert_called(confirm, instance=order)

    "heliograph.outbox" is in INSTALLED_APPS.
    """

    outbox: Outbox

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test with the verbs for the outbox."""
        self.outbox = Outbox()
        return super().run(result)

    def debug(self) -> None:
        """Run the test without a result, with the verbs for the outbox."""
        self.outbox = Outbox()
        super().debug()
