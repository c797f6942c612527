"""The pytest plugin of Heliograph, which imports neither Heliograph nor Django before a test asks for a fixture.

It stands beside the package, because to import a module of a package is to import the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from heliograph.testing import Outbox, Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    """Keep what is sent and called during a test, and assert about it."""
    with import_module("heliograph.testing").Signals() as verbs:
        yield verbs


@pytest.fixture
def outbox() -> Outbox:
    """Make deliveries in a test, and assert about them."""
    verbs: Outbox = import_module("heliograph.testing").Outbox()
    return verbs
