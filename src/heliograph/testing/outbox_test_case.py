"""The mixin that gives each test of a `TestCase` the verbs for signals and for the outbox."""

from __future__ import annotations

import unittest

from heliograph.testing.outbox_verbs import Outbox
from heliograph.testing.signal_test_case import SignalTests


class OutboxTests(SignalTests):
    """A mixin for a TestCase of Django, as `SignalTests`, with `self.outbox`, an `Outbox`.

    The project has the app of the outbox.
    """

    outbox: Outbox

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test with the verbs for the outbox."""
        self.outbox = Outbox()
        return super().run(result)
