"""Receivers at the end of a transaction: group T of the cases."""

import threading
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.signals import post_delete, post_save, pre_save

from heliograph import BeforeCommit, OnCommit, UnsettledError, changed, changes_of, created
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Ticket

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class MishapError(Exception):
    """What a test raises."""


@contextmanager
def mishap():
    with pytest.raises(MishapError):
        yield


# --- OnCommit ---------------------------------------------------------------------------------------------------


def test_t1_a_receiver_runs_once_after_the_outermost_commit(hear):
    heard = hear(post_save, sender=Article, delivery=OnCommit())
    with transaction.atomic():
        with transaction.atomic():
            Article.objects.create(title="a")
        assert heard == []
    assert len(heard) == 1


def test_t1_the_row_is_there_for_other_connections(receive):
    found = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def look(sender, instance, **kwargs):
        thread = threading.Thread(target=lambda: (found.append(Article.objects.count()), connection.close()))
        thread.start()
        thread.join()

    with transaction.atomic():
        Article.objects.create(title="a")
    assert found == [1]


def test_t2_after_a_rollback_it_never_runs_and_the_change_is_still_to_be_saved(hear):
    heard = hear(post_save, sender=Article, when=changed("words"), delivery=OnCommit())
    article = Article.objects.create(words=1)
    article.words = 2
    with mishap(), transaction.atomic():
        article.save()
        raise MishapError
    assert heard == []
    assert changes_of(article)["words"] == (1, 2)
    article.save()
    article.save()
    assert len(heard) == 1


def test_t3_a_savepoint_that_rolls_back_takes_its_events_with_it(hear):
    heard = hear(post_save, sender=Article, when=changed("words"), delivery=OnCommit())
    outer, inner = Article.objects.create(words=1), Article.objects.create(words=1)
    with transaction.atomic():
        outer.words = 2
        outer.save()
        with mishap(), transaction.atomic():
            inner.words = 2
            inner.save()
            raise MishapError
    assert [one.payload["instance"] for one in heard] == [outer]
    assert changes_of(inner)["words"] == (1, 2)


def test_t4_what_was_saved_outside_of_the_savepoint_is_what_counts(receive):
    heard = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def note(sender, instance, changes, **kwargs):
        heard.append(changes["words"])

    article = Article.objects.create(words=1)
    heard.clear()
    with transaction.atomic():
        article.words = 2
        article.save()
        with mishap(), transaction.atomic():
            article.words = 3
            article.save()
            raise MishapError
    assert heard == [(1, 2)]
    assert changes_of(article)["words"] == (2, 3)


def test_t5_without_a_batch_each_save_is_an_event_with_its_old_value(receive):
    heard = []
    article = Article.objects.create(words=0)

    @receive(post_save, sender=Article, delivery=OnCommit())
    def note(sender, instance, changes, **kwargs):
        heard.append(changes["words"])

    article = Article.objects.get()
    save_as(article, 1, 2, 3)
    assert heard == [(0, 1), (1, 2), (2, 3)]


def save_as(article, *words):
    with transaction.atomic():
        for number in words:
            article.words = number
            article.save()


@pytest.fixture
def batches(receive):
    """Connect a receiver of batches: `heard = batches(post_save, sender=Article)` is the list of them."""

    def connect(signal, policy=BeforeCommit, **options):
        heard = []

        @receive(signal, delivery=policy(batch=True), **options)
        def note(sender, batch, **kwargs):
            heard.append(batch)

        return heard

    return connect


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t5_a_batch_has_one_event_with_the_net_change(batches, policy):
    heard = batches(post_save, policy, sender=Article, when=changed("words"))
    article = Article.objects.create(words=0)
    save_as(article, 1, 2, 3)
    (batch,) = heard
    (event,) = batch.events
    assert event.changes == {"words": (0, 3)}
    assert batch.instances == batch.updated == [article]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t6_there_and_back_is_no_net_change(batches, policy):
    heard = batches(post_save, policy, sender=Article, when=changed("words"))
    article = Article.objects.create(words=1)
    save_as(article, 2, 1)
    assert heard == []


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t7_what_was_created_and_deleted_is_nothing(batches, policy):
    heard = batches([post_save, post_delete], policy, sender=Article)
    with transaction.atomic():
        article = Article.objects.create(words=1)
        article.words = 2
        article.save()
        article.delete()
    assert heard == []


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t7_what_was_created_and_updated_is_created_with_the_final_values(batches, policy):
    heard = batches([post_save, post_delete], policy, sender=Article)
    with transaction.atomic():
        article = Article.objects.create(words=1)
        article.words = 2
        article.save()
    (batch,) = heard
    assert [one.words for one in batch.created] == [2]
    assert (batch.updated, batch.deleted) == ([], [])


def test_t7_what_was_updated_and_deleted_is_deleted_with_its_key(batches):
    heard = batches([post_save, post_delete], OnCommit, sender=Article)
    article = Article.objects.create(words=1)
    heard.clear()
    key = article.pk
    with transaction.atomic():
        article.save()
        article.delete()
    (batch,) = heard
    assert [one.pk for one in batch.deleted] == [key]


def test_t8_one_that_raises_is_logged_and_the_others_run(hear, receive, caplog):
    first = hear(post_save, sender=Article, delivery=OnCommit())

    @receive(post_save, sender=Article, delivery=OnCommit())
    def break_down(sender, **kwargs):
        raise MishapError("no way")

    third = hear(post_save, sender=Article, delivery=OnCommit())
    with transaction.atomic():
        Article.objects.create()
    assert (len(first), len(third)) == (1, 1)
    assert "break_down after the commit (no way)" in caplog.text


def test_t8_a_callback_of_others_that_raises_loses_nothing(hear):
    heard = hear(post_save, sender=Article, delivery=OnCommit())

    def break_down():
        raise MishapError

    with mishap(), transaction.atomic():
        transaction.on_commit(break_down)
        Article.objects.create()
    assert len(heard) == 1


def test_t9_what_a_receiver_saves_after_the_commit_is_delivered_after_its_own(receive):
    heard = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def go_on(sender, instance, **kwargs):
        heard.append(instance.words)
        with transaction.atomic():
            if instance.words < 3:
                Article.objects.create(words=instance.words + 1)
            before = len(heard)
        assert len(heard) == before + (instance.words < 3) * (3 - instance.words)

    with transaction.atomic():
        Article.objects.create(words=1)
    assert heard == [1, 2, 3]


def test_t10_a_save_that_fails_in_autocommit_is_no_event(hear):
    heard = [
        hear(post_save, sender=Country, when=changed("name") | created, delivery=policy())
        for policy in (BeforeCommit, OnCommit)
    ]
    Country.objects.create(code="de", name="Germany")
    country = Country(code="de", name="Deutschland")
    for one in heard:
        one.clear()
    with pytest.raises(IntegrityError):
        country.save(force_insert=True)
    assert heard == [[], []]
    assert country._state.adding


# --- BeforeCommit -----------------------------------------------------------------------------------------------


def test_t11_in_autocommit_a_receiver_that_fails_takes_the_row_with_it(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def refuse(sender, instance, **kwargs):
        Genre.objects.create(name="effect")
        raise MishapError

    article = Article(title="a")
    with mishap():
        article.save()
    assert (Article.objects.count(), Genre.objects.count()) == (0, 0)
    assert (article.pk, article._state.adding) == (None, True)


def test_t11_the_row_of_a_child_and_of_its_parent_too(receive):
    @receive(post_save, sender=Audiobook, delivery=BeforeCommit())
    def refuse(sender, instance, **kwargs):
        raise MishapError

    book = Audiobook(name="a")
    with mishap():
        book.save()
    assert Novel.objects.count() == 0
    assert (book.pk, book.id, book._state.adding, book._state.db) == (None, None, True, None)


def test_t12_inline_receivers_run_after_the_commit_and_what_they_raise_reaches_the_caller(receive):
    order = []

    @receive(post_save, sender=Article)
    def first(sender, **kwargs):
        order.append(("inline", connection.in_atomic_block))

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def second(sender, **kwargs):
        order.append(("before", connection.in_atomic_block))

    @receive(post_save, sender=Article, delivery=OnCommit())
    def third(sender, **kwargs):
        order.append(("after", connection.in_atomic_block))

    @receive(post_save, sender=Article)
    def last(sender, **kwargs):
        raise MishapError

    article = Article()
    with mishap():
        article.save()
    assert order == [("before", True), ("inline", False), ("after", False)]
    assert Article.objects.get() == article
    assert not article._state.adding


def test_t12_receivers_of_pre_save_run_before_there_is_a_transaction(receive):
    order = []

    @receive(pre_save, sender=Article)
    def inline(sender, **kwargs):
        order.append(("inline", connection.in_atomic_block, Article.objects.count()))

    @receive(pre_save, sender=Article, delivery=BeforeCommit())
    def before(sender, **kwargs):
        order.append(("before", connection.in_atomic_block, Article.objects.count()))

    @receive(pre_save, sender=Article, delivery=OnCommit())
    def after(sender, **kwargs):
        order.append(("after", connection.in_atomic_block, Article.objects.count()))

    Article().save()
    assert order == [("inline", False, 0), ("before", True, 1), ("after", False, 1)]


def test_t14_each_database_has_its_own_commit(hear):
    heard = hear(post_save, sender=Article, delivery=OnCommit())
    with transaction.atomic():
        with transaction.atomic(using="other"):
            Article.objects.using("other").create(title="there")
            assert heard == []
        assert [one.payload["using"] for one in heard] == ["other"]
        with mishap(), transaction.atomic(using="other"):
            Article.objects.using("other").create(title="there")
            raise MishapError
        Article.objects.create(title="here")
    assert [one.payload["using"] for one in heard] == ["other", "default"]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t15_where_commits_are_made_by_hand_there_is_a_clear_error(hear, policy):
    hear(post_save, sender=Article, delivery=policy())
    transaction.set_autocommit(False)
    try:
        with pytest.raises(transaction.TransactionManagementError, match="note waits for the end of a transaction"):
            Article.objects.create()
        transaction.rollback()
        with (
            pytest.raises(transaction.TransactionManagementError, match="'default' is committed by hand"),
            transaction.atomic(),
        ):
            Article.objects.create()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


def test_t18_what_receivers_save_joins_until_nothing_is_left(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def go_on(sender, instance, **kwargs):
        if instance.words < 5:
            Article.objects.create(words=instance.words + 1)

    sums = []

    @receive(post_save, sender=Article, delivery=BeforeCommit(batch=True))
    def add_up(sender, batch, **kwargs):
        sums.append(sum(one.words for one in batch.created))

    with transaction.atomic():
        Article.objects.create(words=1)
        assert sums == []
    assert sums == [15]


def test_t18_receivers_that_go_on_for_ever_are_named_and_rolled_back(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def go_on(sender, instance, **kwargs):
        Genre.objects.create()

    @receive(post_save, sender=Genre, delivery=BeforeCommit())
    def and_on(sender, instance, **kwargs):
        Article.objects.create()

    with pytest.raises(UnsettledError, match=r"go_on -> \S+and_on -> \S+go_on\."):
        Article.objects.create()
    assert (Article.objects.count(), Genre.objects.count()) == (0, 0)


def test_t19_the_error_of_the_database_is_what_the_caller_sees(receive):
    Country.objects.create(code="de")

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def collide(sender, instance, **kwargs):
        Country.objects.create(code="de")

    with pytest.raises(IntegrityError), transaction.atomic():
        Article.objects.create()
    assert Article.objects.count() == 0
    assert not connection.in_atomic_block


def test_t20_threads_do_not_see_each_others_batches(batches):
    heard = batches(post_save, sender=Ticket)
    both_are_in = threading.Barrier(2, timeout=20)

    def create(count):
        with transaction.atomic():
            for _ in range(count):
                Ticket.objects.create()
            if connection.vendor != "sqlite":  # which has one writer at a time
                both_are_in.wait()
        connection.close()

    threads = [threading.Thread(target=create, args=(count,)) for count in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(batch.created) for batch in heard) == [2, 3]
