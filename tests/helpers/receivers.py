"""Receivers that do nothing, and what is refused when it is connected."""

import pytest

from heliograph import Signal
from tests.helpers.messages import exactly


def takes_changes(changes=None, **kwargs):
    """A receiver."""


published = Signal(name="published")


def is_big(instance, **kwargs):
    return instance.words > 1000


def record(**kwargs):
    """A receiver."""


def refused(error, message, signal, sender=None, **options):
    """Check that connecting is refused with exactly this message, and leaves nothing connected."""
    with pytest.raises(error, match=exactly(message)):
        signal.connect(record, sender=sender, **options)
    assert not signal.disconnect(record, sender=sender)
