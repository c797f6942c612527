"""What tests of bulk writes share: receivers that keep what they were given, and a look at the log."""

import pytest
from django.utils.timezone import now

from heliograph import BeforeCommit, changed
from heliograph.signals import post_save
from tests.app.models import Article, Writer


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog):
    """Show what receivers raise after the commit, which reaches nobody."""
    yield
    assert [one.getMessage() for one in caplog.records if one.name.startswith("heliograph")] == []


@pytest.fixture
def batches(receive):
    """Connect a receiver for the time of a test: the list of the batches that it was given."""

    def connect(signal, sender=Article, **options):
        received = []

        @receive(signal, sender=sender, **options)
        def record(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


@pytest.fixture
def net(batches):
    """Connect a receiver of whole transactions, which receives bulk writes too: the list of the batches."""

    def connect(sender=Article, policy=BeforeCommit, signal=post_save, **options):
        return batches(signal, sender=sender, bulk=True, delivery=policy(batch=True), **options)

    return connect


@pytest.fixture
def row_changes(receive):
    """Connect a receiver of rows, which receives bulk writes too: the list of the changes of each, with its key."""

    def connect(sender, *names, **options):
        received = []

        @receive(post_save, sender=sender, bulk=True, when=changed(*names), **options)
        def record(instance, changes, **kwargs):
            received.append((instance.pk, changes))

        return received

    return connect


@pytest.fixture
def of_each_kind():
    """Have articles with a value in every field."""
    author = Writer.objects.create(name="Ann")
    fields = {"author": author, "published": now(), "price": 1}
    return [
        Article.objects.create(words=number, title=f"{number}", slug=f"s{number}", labels=[number], cover="a", **fields)
        for number in (1, 2, 3)
    ]
