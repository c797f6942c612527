"""The error that tests raise, and the block that expects it."""

from contextlib import contextmanager

import pytest


class MishapError(Exception):
    """What a test raises on purpose."""


@contextmanager
def mishap():
    """A block that ends in this error, which is expected."""
    with pytest.raises(MishapError):
        yield
