"""Rows that are locked by their keys, beside a row that another transaction has locked."""

from functools import partial

import pytest
from django.db import OperationalError, connection, transaction

from heliograph import BeforeWrite, changed, mute
from heliograph.signals import pre_save
from tests.app.models import Article
from tests.helpers.threads import in_thread

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no locks of rows"),
]

IS_MYSQL = connection.vendor == "mysql"
MANY = 1100  # more keys than MariaDB looks up one by one
PATIENCE = "SET SESSION innodb_lock_wait_timeout = 1" if IS_MYSQL else "SET lock_timeout = '1s'"


@pytest.fixture
def articles():
    """The articles that others are to write, after one that is locked."""
    with mute():
        Article.objects.bulk_create([Article() for _ in range(MANY)])
    return [*Article.objects.order_by("pk")]


def impatiently(write):
    """Write in a transaction that waits for no longer than a second."""
    with connection.cursor() as cursor:
        cursor.execute(PATIENCE)
    with transaction.atomic():
        return write()


def beside_a_lock(locked, write):
    """Write in another session while a row is locked in this one."""
    with transaction.atomic():
        Article.objects.select_for_update().get(pk=locked.pk)
        return in_thread(impatiently, write)


def rows(articles):
    return Article.objects.filter(pk__in=[one.pk for one in articles])


def bulk_update(articles):
    for article in articles:
        article.words = 9
    Article.objects.bulk_update(articles, ["words"], batch_size=500)


def test_many_rows_that_are_locked_by_their_keys_wait_for_no_other_row(receive, articles):
    @receive(pre_save, sender=Article, when=changed("words"), fetch="lock", bulk=True, delivery=BeforeWrite())
    def look(sender, batch, **kwargs):
        batch.values("words")

    first, *others = articles
    beside_a_lock(first, partial(bulk_update, others))
    assert Article.objects.filter(words=9).count() == len(others)


@pytest.mark.skipif(not IS_MYSQL, reason="other databases read only the rows with the keys")
def test_control_one_query_for_so_many_keys_waits_for_other_rows_on_mariadb(articles):
    first, *others = articles
    with pytest.raises(OperationalError, match="Lock wait timeout"):
        beside_a_lock(first, lambda: [*rows(others).order_by("pk").select_for_update()])
