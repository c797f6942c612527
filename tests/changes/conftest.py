"""What tests of changes share: a receiver that keeps the changes of each save."""

import pytest
from django.db.models.signals import post_save

from heliograph import changed


@pytest.fixture
def listen_to_changes(receive):
    """Connect a receiver for the time of a test: the list of the changes of each save of a model that has any."""

    def listen_to_changes(model, *names, signal=post_save, **options):
        received = []

        @receive(signal, sender=model, when=changed(*names), **options)
        def record(changes, **kwargs):
            received.append(changes)

        return received

    return listen_to_changes
