"""Receivers at the end of a transaction, by each policy: group T of the cases."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.base import BaseHandler
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.http import HttpResponse
from django.test import RequestFactory, TestCase

from heliograph import BeforeCommit, OnCommit, UnsettledError, changed, changes_of, created
from heliograph.transactions import flush
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Ticket
from tests.helpers.articles import save_as
from tests.helpers.errors import MishapError, mishap

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# --- OnCommit ---------------------------------------------------------------------------------------------------


def test_t1_a_receiver_runs_once_after_the_outermost_commit(listen):
    received = listen(post_save, sender=Article, delivery=OnCommit())
    with transaction.atomic():
        with transaction.atomic():
            Article.objects.create(title="a")
        assert received == []
    assert len(received) == 1


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


def test_t2_after_a_rollback_it_never_runs_and_the_change_is_still_to_be_saved(listen):
    received = listen(post_save, sender=Article, when=changed("words"), delivery=OnCommit())
    article = Article.objects.create(words=1)
    article.words = 2
    with mishap(), transaction.atomic():
        article.save()
        raise MishapError
    assert received == []
    assert changes_of(article)["words"] == (1, 2)
    article.save()
    article.save()
    assert len(received) == 1


def test_t3_a_savepoint_that_rolls_back_takes_its_events_with_it(listen):
    received = listen(post_save, sender=Article, when=changed("words"), delivery=OnCommit())
    outer, inner = Article.objects.create(words=1), Article.objects.create(words=1)
    with transaction.atomic():
        outer.words = 2
        outer.save()
        with mishap(), transaction.atomic():
            inner.words = 2
            inner.save()
            raise MishapError
    assert [one.payload["instance"] for one in received] == [outer]
    assert changes_of(inner)["words"] == (1, 2)


def test_t4_what_was_saved_outside_of_the_savepoint_is_what_counts(receive):
    received = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def record(sender, instance, changes, **kwargs):
        received.append(changes["words"])

    article = Article.objects.create(words=1)
    received.clear()
    with transaction.atomic():
        article.words = 2
        article.save()
        with mishap(), transaction.atomic():
            article.words = 3
            article.save()
            raise MishapError
    assert received == [(1, 2)]
    assert changes_of(article)["words"] == (2, 3)


def test_t5_without_a_batch_each_save_is_an_event_with_its_old_value(receive):
    received = []
    article = Article.objects.create(words=0)

    @receive(post_save, sender=Article, delivery=OnCommit())
    def record(sender, instance, changes, **kwargs):
        received.append(changes["words"])

    article = Article.objects.get()
    save_as(article, 1, 2, 3)
    assert received == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t5_a_batch_has_one_event_with_the_net_change(batches, policy):
    received = batches(post_save, policy, sender=Article, when=changed("words"))
    article = Article.objects.create(words=0)
    save_as(article, 1, 2, 3)
    (batch,) = received
    (event,) = batch.events
    assert event.changes == {"words": (0, 3)}
    assert batch.instances == batch.updated == [article]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t6_there_and_back_is_no_net_change(batches, policy):
    received = batches(post_save, policy, sender=Article, when=changed("words"))
    article = Article.objects.create(words=1)
    save_as(article, 2, 1)
    assert received == []


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t7_what_was_created_and_deleted_is_nothing(batches, policy):
    received = batches([post_save, post_delete], policy, sender=Article)
    with transaction.atomic():
        article = Article.objects.create(words=1)
        article.words = 2
        article.save()
        article.delete()
    assert received == []


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t7_what_was_created_and_updated_is_created_with_the_final_values(batches, policy):
    received = batches([post_save, post_delete], policy, sender=Article)
    with transaction.atomic():
        article = Article.objects.create(words=1)
        article.words = 2
        article.save()
    (batch,) = received
    assert [one.words for one in batch.created] == [2]
    assert (batch.updated, batch.deleted) == ([], [])


def test_t7_what_was_updated_and_deleted_is_deleted_with_its_key(batches):
    received = batches([post_save, post_delete], OnCommit, sender=Article)
    article = Article.objects.create(words=1)
    received.clear()
    key = article.pk
    with transaction.atomic():
        article.save()
        article.delete()
    (batch,) = received
    assert [one.pk for one in batch.deleted] == [key]


def test_t8_one_that_raises_is_logged_and_the_others_run(listen, receive, caplog):
    first = listen(post_save, sender=Article, delivery=OnCommit())

    @receive(post_save, sender=Article, delivery=OnCommit())
    def break_down(sender, **kwargs):
        raise MishapError("no way")

    third = listen(post_save, sender=Article, delivery=OnCommit())
    with transaction.atomic():
        Article.objects.create()
    assert (len(first), len(third)) == (1, 1)
    assert "break_down after the commit (no way)" in caplog.text


def test_t8_a_callback_of_others_that_raises_loses_nothing(listen):
    received = listen(post_save, sender=Article, delivery=OnCommit())

    def break_down():
        raise MishapError

    with mishap(), transaction.atomic():
        transaction.on_commit(break_down)
        Article.objects.create()
    assert len(received) == 1


def test_t9_what_a_receiver_saves_after_the_commit_is_delivered_after_its_own(receive):
    received = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def go_on(sender, instance, **kwargs):
        received.append(instance.words)
        with transaction.atomic():
            if instance.words < 3:
                Article.objects.create(words=instance.words + 1)
            before = len(received)
        assert len(received) == before + (instance.words < 3) * (3 - instance.words)

    with transaction.atomic():
        Article.objects.create(words=1)
    assert received == [1, 2, 3]


def test_t10_a_save_that_fails_in_autocommit_is_no_event(listen):
    received = [
        listen(post_save, sender=Country, when=changed("name") | created, delivery=policy())
        for policy in (BeforeCommit, OnCommit)
    ]
    Country.objects.create(code="de", name="Germany")
    country = Country(code="de", name="Deutschland")
    for one in received:
        one.clear()
    with pytest.raises(IntegrityError):
        country.save(force_insert=True)
    assert received == [[], []]
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


def test_t14_each_database_has_its_own_commit(listen):
    received = listen(post_save, sender=Article, delivery=OnCommit())
    with transaction.atomic():
        with transaction.atomic(using="other"):
            Article.objects.using("other").create(title="there")
            assert received == []
        assert [one.payload["using"] for one in received] == ["other"]
        with mishap(), transaction.atomic(using="other"):
            Article.objects.using("other").create(title="there")
            raise MishapError
        Article.objects.create(title="here")
    assert [one.payload["using"] for one in received] == ["other", "default"]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t15_where_commits_are_made_by_hand_there_is_a_clear_error(listen, policy):
    listen(post_save, sender=Article, delivery=policy())
    transaction.set_autocommit(False)
    try:
        with pytest.raises(transaction.TransactionManagementError, match="record waits for the end of a transaction"):
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


def test_t18_a_thousand_calls_that_cause_each_other_are_not_yet_for_ever():
    assert flush.DEPTH == 1000


def test_t18_receivers_that_go_on_for_ever_are_named_and_rolled_back(receive, monkeypatch):
    monkeypatch.setattr(flush, "DEPTH", 20)

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def go_on(sender, instance, **kwargs):
        Genre.objects.create()

    @receive(post_save, sender=Genre, delivery=BeforeCommit())
    def and_on(sender, instance, **kwargs):
        Article.objects.create()

    with pytest.raises(UnsettledError, match=r" 20 times, .* \S+go_on -> \S+and_on -> \S+go_on\."):
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
    received = batches(post_save, sender=Ticket)
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
    assert sorted(len(batch.created) for batch in received) == [2, 3]


async def test_t20_async_tasks_do_not_see_each_others_batches(batches, async_database):
    received = batches(post_save, sender=Ticket)

    def create(count):
        with transaction.atomic():
            for _ in range(count):
                Ticket.objects.create()
        connection.close()

    create_in_thread = sync_to_async(create, thread_sensitive=False)
    await asyncio.gather(create_in_thread(2), create_in_thread(3))
    assert sorted(len(batch.created) for batch in received) == [2, 3]


# --- requests, tests, connections ---------------------------------------------------------------------------------


def respond(request, status):
    Article.objects.create(title=f"for {status}")
    return HttpResponse(status=status) if status < 500 else broken()


def broken():
    raise MishapError


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_t13_a_request_that_ends_in_an_error_delivers_nothing(listen, policy, monkeypatch):
    received = listen(post_save, sender=Article, delivery=policy())
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    view = BaseHandler().make_view_atomic(respond)
    with mishap():
        view(RequestFactory().get("/"), 500)
    assert received == []
    view(RequestFactory().get("/"), 200)
    assert len(received) == 1


def test_t13_a_durable_block_commits(listen):
    received = listen(post_save, sender=Article, delivery=OnCommit())
    with transaction.atomic(durable=True):
        Article.objects.create()
        assert received == []
    assert len(received) == 1


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_a_transaction_that_is_marked_for_rollback_delivers_nothing(listen, policy):
    received = listen(post_save, sender=Article, delivery=policy())
    with transaction.atomic():
        Article.objects.create()
        transaction.set_rollback(True)
    assert received == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no connection to lose")
def test_t16_a_connection_that_is_lost_before_the_commit_delivers_nothing(listen, receive):
    after = listen(post_save, sender=Article, delivery=OnCommit())

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def lose_connection(sender, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute(OWN_SESSION[connection.vendor])
            (session,) = cursor.fetchone()
        thread = threading.Thread(target=end_session, args=(session,))
        thread.start()
        thread.join()

    with pytest.raises(DatabaseError), transaction.atomic():
        Article.objects.create()
    connection.close()
    assert (after, Article.objects.count()) == ([], 0)


OWN_SESSION = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}

END_SESSION = {"postgresql": "SELECT pg_terminate_backend(%s, 10000)", "mysql": "KILL CONNECTION %s"}


def end_session(session):
    with connection.cursor() as cursor:
        cursor.execute(END_SESSION[connection.vendor], [session])
    connection.close()


@pytest.mark.django_db(databases=["default", "other"])
class TestT17InsideATestCase:
    """Inside a TestCase of Django, which rolls everything back."""

    @pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
    def test_the_end_of_the_outermost_block_is_the_commit(self, listen, policy):
        received = listen(post_save, sender=Article, delivery=policy())
        with transaction.atomic():
            with transaction.atomic():
                Article.objects.create()
            assert received == []
        assert len(received) == 1

    @pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
    def test_without_a_block_a_save_is_its_own_commit(self, listen, policy):
        received = listen(post_save, sender=Article, delivery=policy())
        Article.objects.create()
        assert len(received) == 1

    def test_they_run_in_order(self, receive):
        order = []
        for name, policy in (("after", OnCommit()), ("before", BeforeCommit())):
            self._record(receive, order, name, policy)
        with transaction.atomic():
            Article.objects.create()
            order.append("end of the block")
        assert order == ["end of the block", "before", "after"]

    def _record(self, receive, order, name, policy):
        @receive(post_save, sender=Article, delivery=policy, dispatch_uid=name, weak=False)
        def record(sender, **kwargs):
            order.append(name)

    def test_one_that_fails_before_the_commit_undoes_the_block(self, receive):
        @receive(post_save, sender=Article, delivery=BeforeCommit())
        def refuse(sender, **kwargs):
            raise MishapError

        with mishap():
            Article.objects.create()
        with mishap(), transaction.atomic():
            Article.objects.create()
        assert Article.objects.count() == 0

    def test_a_block_that_is_rolled_back_delivers_nothing_then_or_later(self, listen):
        received = listen(post_save, sender=Article, delivery=OnCommit())
        with mishap(), transaction.atomic():
            Article.objects.create()
            raise MishapError
        with transaction.atomic():
            pass
        assert received == []

    @pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
    def test_a_switch_turns_it_off(self, listen, settings, policy):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        received = listen(post_save, sender=Article, delivery=policy())
        with transaction.atomic():
            Article.objects.create()
        assert received == []

    @pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
    def test_then_callbacks_can_be_captured_as_those_of_django(self, listen, settings, policy):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        received = listen(post_save, sender=Article, delivery=policy())
        with TestCase.captureOnCommitCallbacks(execute=True) as callbacks:
            Article.objects.create()
        assert (len(callbacks), len(received)) == (1, 1)

    def test_and_those_of_batches_too(self, batches, settings):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        received = batches(post_save, OnCommit, sender=Article)
        with TestCase.captureOnCommitCallbacks(execute=True):
            article = Article.objects.create()
        assert [batch.created for batch in received] == [[article]]

    def test_callbacks_that_are_captured_do_not_come_twice(self, listen):
        received = listen(post_save, sender=Article, delivery=OnCommit())
        with TestCase.captureOnCommitCallbacks(execute=True) as callbacks, transaction.atomic():
            Article.objects.create()
        assert (callbacks, len(received)) == ([], 1)

    def test_the_data_of_a_test_class_are_delivered_too(self, listen):
        received = listen(post_save, sender=Article, delivery=OnCommit())

        class WithData(TestCase):
            databases = ("default",)

            @classmethod
            def setUpTestData(cls):
                Article.objects.create()

        WithData.setUpClass()
        WithData.tearDownClass()
        WithData.doClassCleanups()
        assert len(received) == 1
