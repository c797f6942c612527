"""Receivers at the end of a transaction: group T of the cases."""

import asyncio
import threading
from contextlib import nullcontext

import pytest
from asgiref.sync import sync_to_async
from django.core.checks import run_checks
from django.core.handlers.base import BaseHandler
from django.core.signals import request_finished
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.http import HttpResponse
from django.test import RequestFactory, TestCase

from heliograph import (
    BeforeCommit,
    OnCommit,
    Signal,
    UnsettledError,
    changed,
    changes_of,
    created,
    mute,
    receiver,
    trace,
)
from heliograph.dispatch import Called
from heliograph.flow.listing import lines
from heliograph.transactions import flush
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Ticket
from tests.helpers.articles import save_as
from tests.helpers.errors import MishapError, mishap
from tests.helpers.statements import verbs

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


# --- statements ---------------------------------------------------------------------------------------------------


def test_a_model_without_such_receivers_sends_the_statements_that_it_sends_today(listen):
    before = verbs(save_delete_and_relate)
    listen(post_save, sender=Article, delivery=BeforeCommit())
    listen(post_save, sender=Article, delivery=OnCommit())
    listen(post_save, sender=Novel)
    assert verbs(save_delete_and_relate) == before
    assert "BEGIN" not in verbs(Novel.objects.create)


def save_delete_and_relate():
    novel = Novel.objects.create(name="a")
    novel.save()
    novel.genres.add(Genre.objects.create())
    with transaction.atomic():
        Audiobook.objects.create()
    novel.delete()


def test_a_save_in_autocommit_begins_a_transaction_for_those_who_need_one(listen):
    listen(post_save, sender=Article, delivery=OnCommit())
    assert verbs(Article.objects.create) == ["INSERT"]
    listen(post_save, sender=Article, delivery=BeforeCommit())
    assert verbs(Article.objects.create) == ["BEGIN", "INSERT", "COMMIT"]


def test_a_save_in_a_transaction_sends_no_more(listen):
    listen(post_save, sender=Article, delivery=BeforeCommit())

    def save():
        with transaction.atomic():
            Article.objects.create()

    assert verbs(save) == ["BEGIN", "INSERT", "COMMIT"]


# --- async --------------------------------------------------------------------------------------------------------


@pytest.fixture
def loops(receive):
    """Two async receivers that wait for each other: the list has the event loop of each."""
    found, meeting = [], {}

    async def meet():
        loop = asyncio.get_running_loop()
        found.append(loop)
        both = meeting.setdefault(loop, asyncio.Event())
        if found.count(loop) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), timeout=20)

    @receive(post_save, sender=Article, delivery=OnCommit())
    async def first(sender, **kwargs):
        await meet()

    @receive(post_save, sender=Article, delivery=OnCommit())
    async def second(sender, **kwargs):
        await meet()

    return found


def test_async_receivers_run_concurrently_after_the_commit_in_one_loop(loops):
    with transaction.atomic():
        Article.objects.create()
        assert loops == []
    assert len(loops) == 2
    assert len(set(loops)) == 1


def test_so_they_do_in_autocommit(loops):
    Article.objects.create()
    assert len(loops) == 2
    assert len(set(loops)) == 1


async def test_so_they_do_from_async_code_in_its_own_loop(loops, async_database):
    await Article.objects.acreate()
    assert loops == [asyncio.get_running_loop()] * 2


async def test_and_from_a_transaction_that_async_code_has_a_thread_for(loops, async_database):
    @sync_to_async
    def create():
        with transaction.atomic():
            Article.objects.create()
            assert loops == []

    await create()
    assert loops == [asyncio.get_running_loop()] * 2


def test_an_async_receiver_before_the_commit_is_in_the_transaction(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    async def create(sender, **kwargs):
        await Genre.objects.acreate()
        raise MishapError

    with mishap():
        Article.objects.create()
    assert (Article.objects.count(), Genre.objects.count()) == (0, 0)


def test_what_an_async_receiver_raises_is_logged(receive, caplog):
    @receive(post_save, sender=Article, delivery=OnCommit())
    async def break_down(sender, **kwargs):
        raise MishapError("no way")

    Article.objects.create()
    assert "break_down after the commit (no way)" in caplog.text


# --- other signals ------------------------------------------------------------------------------------------------


def test_a_signal_of_ones_own_goes_by_the_database_that_it_tells(listen):
    shipped = Signal(name="shop.shipped")
    received = listen(shipped, delivery=OnCommit())
    with transaction.atomic():
        article = Article.objects.create()
        with transaction.atomic(using="other"):
            shipped.send(sender=None, using="other")
        assert len(received) == 1
        shipped.send(sender=None, article=article)
        shipped.send(sender=Article)
        shipped.send(sender=None)
        assert len(received) == 1
    assert len(received) == 4


def test_before_a_commit_a_signal_has_to_tell_its_database(receive):
    shipped = Signal(name="shop.shipped")

    @receive(shipped, delivery=BeforeCommit())
    def record(sender, **kwargs): ...

    with pytest.raises(TypeError, match=r"record \(.*shop.shipped was sent without anything that says"):
        shipped.send(sender=None)


def test_in_autocommit_a_signal_of_ones_own_is_a_transaction(receive):
    shipped = Signal(name="shop.shipped")

    @receive(shipped, delivery=BeforeCommit())
    def refuse(sender, **kwargs):
        Genre.objects.create()
        raise MishapError

    with mishap():
        shipped.send(sender=Article)
    assert Genre.objects.count() == 0


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_a_declared_signal_has_batches_too(receive, policy):
    @Signal.define
    def shipped(sender, *, article, carrier="post"):
        """An article has left."""

    received = []

    @receive(shipped, delivery=policy(batch=True))
    def record(sender, batch, **kwargs):
        received.append([event.kwargs["carrier"] for event in batch.events])

    article = Article.objects.create()
    with transaction.atomic():
        shipped.send(sender=Article, article=article)
        shipped.send(sender=Article, article=article, carrier="train")
    assert received == [["post", "train"]]


def test_many_to_many_changes_come_as_they_were_sent(receive):
    received = []

    @receive(m2m_changed, sender=Novel.genres.through, delivery=BeforeCommit(batch=True))
    def record(sender, batch, **kwargs):
        received.append(([event.kwargs["action"] for event in batch.events], batch.instances))

    novel, genre = Novel.objects.create(), Genre.objects.create()
    with transaction.atomic():
        novel.genres.add(genre)
        novel.genres.remove(genre)
    assert received == [(["pre_add", "post_add", "pre_remove", "post_remove"], [novel])]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_an_instance_that_was_deleted_keeps_its_key_until_it_is_delivered(receive, signal, policy):
    keys = []

    @receive(signal, sender=Article, delivery=policy())
    def record(sender, instance, **kwargs):
        keys.append(instance.pk)

    article = Article.objects.create()
    key = article.pk
    with transaction.atomic():
        article.delete()
        assert article.pk is None
    assert keys == [key]


# --- receivers that save ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_receiver_is_not_called_again_for_what_it_is_handling(receive, policy, is_atomic):
    calls = []

    @receive(post_save, sender=Article, delivery=policy())
    def count(sender, instance, **kwargs):
        calls.append(instance)
        instance.words += 1
        instance.save()

    with transaction.atomic() if is_atomic else nullcontext():
        article = Article.objects.create()
    article.refresh_from_db()
    assert (len(calls), article.words) == (1, 1)


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_nor_for_the_instances_of_its_batch(receive, policy):
    calls = []

    @receive(post_save, sender=Article, delivery=policy(batch=True))
    def count(sender, batch, **kwargs):
        calls.append(len(batch.instances))
        for article in batch.instances:
            article.save()
        Article.objects.get_or_create(title="another")

    with transaction.atomic():
        Article.objects.create()
        Article.objects.create()
    assert calls == [2, 1]


def test_a_save_before_the_commit_has_no_change_to_report(listen, receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def save_again(sender, instance, **kwargs):
        assert not instance._state.adding
        instance.save()

    received = listen(post_save, sender=Article, when=changed("words"))
    article = Article.objects.create(words=1)
    article.words = 2
    article.save()
    assert len(received) == 1


def test_after_a_save_in_autocommit_that_was_refused_the_change_is_still_to_be_saved(receive):
    article = Article.objects.create(words=1)

    @receive(post_save, sender=Article, when=changed("words"), delivery=BeforeCommit())
    def refuse(sender, instance, **kwargs):
        if instance.words == 2:
            raise MishapError

    article = Article.objects.get()
    article.words = 2
    with mishap():
        article.save()
    assert changes_of(article)["words"] == (1, 2)


# --- bad input ----------------------------------------------------------------------------------------------------


def wants_nothing(sender, **kwargs): ...


def wants_a_batch(sender, batch, **kwargs): ...


def wants_both(sender, instance, batch, **kwargs): ...


@pytest.mark.parametrize(
    ("signal", "function", "policy", "text"),
    [
        (post_save, wants_nothing, BeforeCommit(batch=True), r"wants_nothing .* has no parameter named batch"),
        (
            post_save,
            wants_a_batch,
            OnCommit(),
            r"wants_a_batch .* for a batch, which delivery=OnCommit\(\) does not",
        ),
        (post_save, wants_both, OnCommit(batch=True), r"wants_both .* asks for 'instance', which a batch has once"),
        (request_finished, wants_nothing, BeforeCommit(), r"request_finished is not about a database"),
        (post_save, wants_nothing, BeforeCommit, r"delivery= takes a delivery policy such as Inline\(\), not <class"),
        (post_save, wants_nothing, "later", r"delivery= takes a delivery policy such as Inline\(\), not 'later'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_where_it_is_written(signal, function, policy, text):
    with pytest.raises(TypeError, match=text):
        receiver(signal, sender=Article, delivery=policy)(function)


def test_a_check_finds_receivers_that_wait_for_a_batch_in_vain(receive):
    receive(post_save, sender=Article)(wants_a_batch)
    (problem,) = problems()
    assert (problem.id, problem.msg.split(" asks ")[1]) == (
        "heliograph.E003",
        "for a batch, and is called for each send.",
    )
    assert "wants_a_batch" in problem.obj


def test_a_check_finds_nothing_wrong_with_those_that_get_one(receive):
    receive(post_save, sender=Article, delivery=OnCommit(batch=True))(wants_a_batch)
    assert problems() == []


def problems():
    return [one for one in run_checks() if one.id.startswith("heliograph.")]


def test_the_registry_lists_the_policy_and_the_condition(receive):
    receive(post_save, sender=Article, when=created, delivery=OnCommit(batch=True))(wants_a_batch)
    (line,) = [line for line in lines(["post_save"]) if "wants_a_batch" in line]
    assert "when=created" in line
    assert "delivery=OnCommit(batch=True)" in line


# --- watching -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [BeforeCommit(), OnCommit(), BeforeCommit(batch=True)])
def test_observers_are_told_of_a_call_when_it_is_made_as_part_of_its_send(receive, policy):
    @receive(post_save, sender=Article, delivery=policy)
    def record(sender, batch=None, **kwargs):
        Genre.objects.create()

    with trace() as traced, transaction.atomic():
        Article.objects.create()
        assert "record" not in str(traced)
    lines = [line.rsplit(" ", 2)[0] for line in str(traced).splitlines()]
    sent = next(at for at, line in enumerate(lines) if line.startswith("django.db.models.signals.post_save"))
    assert lines[sent + 1].endswith("<locals>.record")
    assert lines[sent + 2].startswith("    django.db.models.signals.pre_init")


def test_they_are_told_in_autocommit_too(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def record(sender, **kwargs): ...

    with trace() as traced:
        Article.objects.create()
    assert [event.receiver for event in traced.events if isinstance(event, Called)] == [record]


async def test_and_of_a_call_of_an_async_receiver(receive, async_database):
    @receive(post_save, sender=Article, delivery=OnCommit())
    async def record(sender, **kwargs):
        await asyncio.sleep(0)

    with trace() as traced:
        await Article.objects.acreate()
    (called,) = [event for event in traced.events if isinstance(event, Called)]
    assert (called.receiver, called.outcome) == (record, None)


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_muted_receiver_has_nothing_to_wait_for(listen, policy, is_atomic):
    received = listen(post_save, sender=Article, delivery=policy())
    with transaction.atomic() if is_atomic else nullcontext(), mute(post_save):
        Article.objects.create()
    assert received == []


def test_an_object_that_is_saved_as_two_rows_comes_as_two_instances(receive, batches):
    keys = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def record(sender, instance, **kwargs):
        keys.append(instance.pk)

    received = batches(post_save, sender=Article)
    with transaction.atomic():
        article = Article.objects.create()
        first, article.pk, article._state.adding = article.pk, None, True
        article.save()
    assert keys == [first, article.pk]
    assert [one.pk for one in received[0].created] == keys
