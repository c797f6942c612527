"""What the tests of the audit log share."""

import pytest

from heliograph.audit.audited_models import AUDITED


@pytest.fixture(autouse=True)
def _disconnected():
    """Let no model be audited after a test."""
    yield
    for audited in [*AUDITED.values()]:
        audited.disconnect()
