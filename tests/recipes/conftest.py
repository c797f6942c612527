"""What the tests of recipes share."""

import pytest

from tests.helpers.keeping import Keeping


@pytest.fixture
def keeping():
    """Keep fields for the time of a test: `keeping.keep(Cart, items_count=Count("items"))`."""
    with Keeping() as keeping:
        yield keeping
