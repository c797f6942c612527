"""What tests of contexts share: a declared value."""

import pytest

from heliograph.context import context
from heliograph.context.declared import DECLARED


@pytest.fixture
def tenant():
    """Declare the value `tenant` during a test."""
    context.declare("tenant", str)
    yield "tenant"
    del DECLARED["tenant"]
