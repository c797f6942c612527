"""The mixin that gives each test of a `TestCase` the verbs for signals."""

from __future__ import annotations

import unittest

from heliograph.testing.signal_verbs import Signals


class SignalTests(unittest.TestCase):
    """A mixin for a TestCase of Django or of unittest: `self.signals` is a `Signals` that is open around each test.

    It keeps what `setUp()` sends too, and not what `setUpTestData()` sends.
    """

    signals: Signals

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test while its signals are kept."""
        with Signals() as self.signals:
            return super().run(result)

    def debug(self) -> None:
        """Run the test without a result, while its signals are kept."""
        with Signals() as self.signals:
            super().debug()
