"""What tests of the dispatcher share: a signal that nobody has connected to."""

import pytest

from heliograph.dispatch import Signal


@pytest.fixture
def signal():
    return Signal()
