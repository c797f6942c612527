"""What tests of transactions share: a receiver of batches."""

import pytest

from heliograph import BeforeCommit


@pytest.fixture
def batches(receive):
    """Connect a receiver of batches: `received = batches(post_save, sender=Article)` is the list of them."""

    def connect(signal, policy=BeforeCommit, **options):
        received = []

        @receive(signal, delivery=policy(batch=True), **options)
        def record(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect
