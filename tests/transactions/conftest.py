"""What tests of transactions share: a receiver of batches."""

import pytest


@pytest.fixture
def batches(batches_at_the_end):
    """Connect a receiver of batches: `received = batches(post_save, sender=Article)` is the list of them."""
    return batches_at_the_end
