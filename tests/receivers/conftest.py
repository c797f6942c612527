"""What tests of receivers share: a receiver that asks for changes, models, and articles."""

import pytest
from django.db import models
from django.test.utils import isolate_apps

from tests.app.models import Article


@pytest.fixture
def changes_for(receive):
    """Connect a receiver of changes: `got = changes_for(post_save, sender=Article)` is the list of them."""

    def connect(signal, **options):
        got = []

        @receive(signal, **options)
        def record(changes, **kwargs):
            got.append(changes)

        return got

    return connect


@pytest.fixture
def shop():
    """A model of this test only, of which no other test has left a receiver."""
    with isolate_apps("tests.app"):

        class Shop(models.Model):
            name = models.CharField(max_length=50)
            street = models.CharField(max_length=50)

            class Meta:
                app_label = "app"

        yield Shop


@pytest.fixture
def article():
    """An article that was loaded: connect the receiver first."""

    def load(**fields):
        return Article.objects.get(pk=Article.objects.create(**{"title": "Tides", **fields}).pk)

    return load
