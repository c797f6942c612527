"""What tests of changes share: receivers that keep changes and batches, and a copy that is stale."""

import pytest

from heliograph import BeforeCommit, changed
from heliograph.signals import post_save
from tests.app.models import Topic
from tests.helpers.stale_copies import WRITTEN, moved


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


@pytest.fixture
def changes_for(receive):
    """Connect a receiver of changes: `got = changes_for(post_save, sender=Novel)` has (sender, changes) of each."""

    def connect(signal, **options):
        got = []

        @receive(signal, **options)
        def record(sender, changes, **kwargs):
            got.append((sender, changes))

        return got

    return connect


@pytest.fixture
def changes_by_lock(receive):
    """Connect a receiver of changes: `got = changes_by_lock(Post, when=changed("text"))` is the list of them."""

    def connect(sender, signal=WRITTEN, fetch="lock", **options):
        got = []

        @receive(signal, sender=sender, fetch=fetch, **options)
        def record(changes, **kwargs):
            got.append(changes)

        return got

    return connect


@pytest.fixture
def batches_by_lock(receive):
    """Connect a receiver of batches: `got = batches_by_lock(Post, when=...)` is the list of them."""

    def connect(sender, signal=WRITTEN, fetch="lock", **options):
        got = []

        @receive(signal, sender=sender, fetch=fetch, delivery=BeforeCommit(batch=True), **options)
        def record(batch, **kwargs):
            got.append(batch)

        return got

    return connect


@pytest.fixture
def topics():
    return [Topic.objects.create() for _ in range(3)]


@pytest.fixture
def post(topics):
    """A copy of a post that has moved meanwhile, from the first topic to the second."""
    return moved(topics)
