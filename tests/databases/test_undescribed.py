"""What works on a database that nobody has described, more slowly, and what says that it does not work."""

from decimal import Decimal

import pytest
from django.db import NotSupportedError, connection
from django.db.models import F
from django.test.utils import isolate_apps

from heliograph import UNKNOWN, Durable, created, databases
from heliograph.databases import GENERAL, database_of
from heliograph.signals import post_bulk_delete, post_save, post_update
from tests.app.models import Article

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def undescribed(monkeypatch):
    """The database of the tests, without its description."""
    others = {name: one for name, one in databases.DESCRIBED.items() if name != connection.vendor}
    monkeypatch.setattr(databases, "DESCRIBED", others)
    assert database_of(connection) is GENERAL


@pytest.fixture
def essays():
    """A model of its own: what Heliograph has found out about the table of another one is of the described database."""
    with isolate_apps("tests.app"):

        class Essay(Article):
            class Meta:
                app_label = "app"
                proxy = True

        yield Essay


@pytest.fixture
def made(essays):
    return essays.objects.bulk_create([essays(title=title, words=1) for title in "ab"])


def test_an_update_has_the_old_and_new_values_of_its_rows(essays, made, connect):
    received = []
    connect(post_update, lambda batch, **kwargs: received.extend(batch.changes("words")), sender=essays)

    essays.objects.filter(title="a").update(words=F("words") + 4)

    assert received == [(made[0].pk, 1, 5)]


def test_a_deletion_has_its_rows(essays, made, connect):
    received = []
    connect(post_bulk_delete, lambda batch, **kwargs: received.extend(batch.deleted), sender=essays)

    essays.objects.filter(title="b").delete()

    assert [one.title for one in received] == ["b"]


def test_a_decimal_that_a_database_would_round_is_not_known(essays, connect):
    received = []
    connect(post_save, lambda changes, **kwargs: received.append(changes["price"]), sender=essays, when=~created)
    article = essays.objects.create(price=Decimal("1.25"))

    article.price = Decimal("1.255")
    article.save()

    assert [(change.old, change.new) for change in received] == [(Decimal("1.25"), UNKNOWN)]


def record(instance, **kwargs):
    """A receiver."""


def test_a_durable_receiver_says_that_the_outbox_does_not_run_there(connect):
    connect(post_save, record, sender=Article, delivery=Durable())

    with pytest.raises(NotSupportedError, match=f"and not on {connection.vendor}"):
        Article.objects.create()
