"""Changes that a rollback undoes: case C19."""

import copy
import pickle
import sys
from contextlib import contextmanager, suppress

import pytest
from django.db import IntegrityError, connection, transaction

from heliograph import UNKNOWN, Change, changes_of, created
from heliograph.changes.memory import remembered
from heliograph.changes.plans import plan_of
from heliograph.signals import post_save, pre_save
from tests.app.models import Article, Country

committing = pytest.mark.django_db(transaction=True)


class UndoError(Exception):
    """The reason for a rollback."""


@contextmanager
def rolled_back():
    """Be a block of a transaction that is rolled back."""
    with suppress(UndoError), transaction.atomic():
        yield
        raise UndoError


@committing
def test_c19_after_a_rollback_the_instance_is_changed_again(listen_to_changes):
    received = listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with rolled_back():
        article.words = 2
        article.save()
        assert changes_of(article) == {}
    assert changes_of(article) == {"words": Change(1, 2)}
    article.save()
    assert received == [{"words": Change(1, 2)}] * 2


@committing
def test_c19_a_savepoint_that_is_rolled_back_takes_its_changes_along(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        article.words = 2
        article.save()
        with rolled_back():
            article.words = 3
            article.save()
            with transaction.atomic():
                article.words = 4
                article.save()
        assert changes_of(article) == {"words": Change(2, 4)}
    assert changes_of(article) == {"words": Change(2, 4)}


@committing
def test_c19_what_is_done_after_a_rolled_back_savepoint_stays(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        with rolled_back():
            article.words = 2
            article.save()
        article.words = 3
        article.save()
    article.words = 4
    assert changes_of(article) == {"words": Change(3, 4)}


@committing
def test_c19_a_savepoint_by_hand_counts_too(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        savepoint = connection.savepoint()
        article.words = 2
        article.save()
        connection.savepoint_rollback(savepoint)
        assert changes_of(article) == {"words": Change(1, 2)}
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_a_block_without_a_savepoint_is_rolled_back_with_its_outer_one(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with rolled_back(), transaction.atomic(savepoint=False):
        article.words = 2
        article.save()
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_set_rollback_counts_too(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        article.words = 2
        article.save()
        transaction.set_rollback(True)
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_switching_autocommit_on_commits(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    transaction.set_autocommit(False)
    article.words = 2
    article.save()
    if connection.vendor == "postgresql":  # which refuses to switch within a transaction
        transaction.commit()
    transaction.set_autocommit(True)
    with rolled_back():
        Article.objects.create()
    assert changes_of(article) == {}


@committing
def test_c19_many_savepoints_by_hand_are_no_burden(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=0)
    with frames_left(150), transaction.atomic():
        for words in range(1, 200):
            connection.savepoint()
            article.words = words
            article.save()
    assert changes_of(article) == {}


@contextmanager
def frames_left(count):
    """Let Python refuse to call functions any deeper than this, so that a recursion is seen soon."""
    limit, depth, frame = sys.getrecursionlimit(), 0, sys._getframe()
    while frame := frame.f_back:
        depth += 1
    sys.setrecursionlimit(depth + count)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@committing
def test_c19_a_transaction_by_hand_counts_too(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    transaction.set_autocommit(False)
    try:
        article.words = 2
        article.save()
        transaction.commit()
        article.words = 3
        article.save()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert changes_of(article) == {"words": Change(2, 3)}


@committing
@pytest.mark.skipif(connection.vendor == "sqlite", reason="a closed connection to SQLite keeps its transaction's lock")
def test_c19_a_connection_that_is_lost_rolls_back(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with rolled_back():
        article.words = 2
        article.save()
        connection.close()
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_a_long_transaction_holds_no_more_of_an_instance_than_it_can_roll_back(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=0)
    with transaction.atomic():
        for words in range(1, 20):
            with transaction.atomic():
                article.words = words
                article.save()
        memory, length = remembered(article, plan_of(Article)), 0
        while memory is not None:
            memory, length = memory.before, length + 1
        assert length <= 4


@committing
def test_c19_nested_blocks_roll_back_to_what_was_saved_before_each(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=0)
    with rolled_back():
        article.words = 1
        article.save()
        with rolled_back():
            article.words = 2
            article.save()
            with transaction.atomic():
                article.words = 3
                article.save()
            with rolled_back():
                article.words = 4
                article.save()
            assert changes_of(article) == {"words": Change(3, 4)}
        assert changes_of(article) == {"words": Change(1, 4)}
    assert changes_of(article) == {"words": Change(0, 4)}


@committing
def test_c19_a_loaded_instance_is_measured_from_what_it_loaded_after_a_rollback(listen_to_changes):
    listen_to_changes(Article, "words")
    Article.objects.create(words=0)
    article = Article.objects.get()
    with rolled_back():
        article.words = 1
        article.save()
        other = copy.copy(article)
        pickled = pickle.dumps(article)
    assert changes_of(article) == changes_of(other) == {"words": Change(0, 1)}
    assert pickle.loads(pickled).words == 1


@committing
def test_c19_a_pickle_after_a_rollback_is_measured_from_what_was_loaded(listen_to_changes):
    listen_to_changes(Article, "words")
    Article.objects.create(words=0)
    article = Article.objects.get()
    with rolled_back():
        article.words = 1
        article.save()
    assert changes_of(pickle.loads(pickle.dumps(article))) == {"words": Change(0, 1)}


@committing
def test_c19_what_is_committed_stays(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        article.words = 2
        article.save()
        with transaction.atomic():
            article.words = 3
            article.save()
    article.words = 4
    assert changes_of(article) == {"words": Change(3, 4)}


@committing
def test_c19_a_refresh_inside_what_is_rolled_back_is_forgotten_with_it(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with rolled_back():
        article.words = 2
        article.save()
        article.refresh_from_db()
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_a_save_that_is_refused_leaves_the_instance_changed(listen_to_changes):
    received = listen_to_changes(Country, "code", "name")
    Country.objects.create(code="at", name="Austria")
    country = Country.objects.create(code="de", name="Germany")
    country.name = None
    with pytest.raises(IntegrityError):
        country.save()
    assert received == []
    assert changes_of(country) == {"name": Change("Germany", None)}


@committing
def test_c19_a_save_that_a_receiver_stops_leaves_the_instance_changed(listen, listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)

    def stop(**kwargs):
        raise UndoError

    listen(pre_save, sender=Article, when=stop)
    article.words = 2
    with pytest.raises(UndoError):
        article.save()
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_a_receiver_that_fails_after_a_committed_save_leaves_it_saved(listen, listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)

    def fail(**kwargs):
        raise UndoError

    listen(post_save, sender=Article, when=fail)
    article.words = 2
    with pytest.raises(UndoError):
        article.save()
    assert changes_of(article) == {}


@committing
def test_c19_a_created_row_that_is_rolled_back_is_created_again(listen, listen_to_changes):
    received, added = listen_to_changes(Article, "words"), listen(post_save, sender=Article, when=created)
    with rolled_back():
        article = Article.objects.create(words=1)
    article.save()
    assert received == []
    assert len(added) == 2


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_c19_two_databases_roll_back_each_for_itself(listen_to_changes):
    listen_to_changes(Article, "words")
    here, there = Article.objects.create(words=1), Article.objects.using("other").create(words=1)
    with transaction.atomic(using="other"), rolled_back():
        for article in (here, there):
            article.words = 2
            article.save()
    assert changes_of(here) == {"words": Change(1, 2)}
    assert changes_of(there) == {}


@pytest.mark.django_db(databases=["default", "other"])
def test_c19_a_row_of_another_database_is_another_row(listen_to_changes):
    received = listen_to_changes(Country, "name")
    country = Country.objects.create(code="at", name="Austria")
    Country.objects.using("other").create(code="at", name="Autriche")
    country.name = "Österreich"
    country.save(using="other")
    assert received == [{"name": Change(UNKNOWN, "Österreich")}]
