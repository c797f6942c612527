"""The mixin that gives each test of a `TestCase` the verbs for signals."""

from __future__ import annotations

import unittest

from heliograph.testing.signal_verbs import Signals


class SignalTests(unittest.TestCase):
    """A mixin for a TestCase of Django or of unittest: `self.signals`, a `Signals`, is open around each test.

    It is opened before `setUp()`.
    """

    signals: Signals

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test while its signals are kept."""
        with Signals() as self.signals:
            return super().run(result)
