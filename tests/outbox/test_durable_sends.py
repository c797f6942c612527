"""Durable sends beside requests, other connections and other receivers, and the row that each writes."""

import asyncio
import threading
from contextlib import nullcontext

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.base import BaseHandler
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import post_delete, post_save, pre_delete
from django.http import HttpResponse
from django.test import RequestFactory, TestCase

from heliograph import BeforeCommit, Durable, OnCommit, Signal, created, mute
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.signals import m2m_changes, post_update
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Reprint, Ticket, Ware
from tests.helpers.deliveries import refuse, stored
from tests.helpers.errors import MishapError, mishap
from tests.helpers.sessions import end_own, has_sessions
from tests.helpers.statements import statements

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# Where what Django does outside of a test's own transaction is what the test is about.
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# --- requests, databases, connections -----------------------------------------------------------------------------


def respond(request, status):
    Article.objects.create(title=f"for {status}")
    if status == 500:
        raise MishapError
    return HttpResponse(status=status)


@pytest.fixture
def view(monkeypatch):
    """A view with ATOMIC_REQUESTS."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    return BaseHandler().make_view_atomic(respond)


def test_t13_a_request_that_ends_in_an_error_stores_nothing(calls_of, view):
    calls_of(post_save, sender=Article)
    with mishap():
        view(RequestFactory().get("/"), 500)
    assert stored() == 0


def test_t13_a_request_that_ends_well_stores_its_delivery(calls_of, view):
    calls_of(post_save, sender=Article)
    view(RequestFactory().get("/"), 200)
    assert stored() == 1


@really_committed
def test_t13_a_durable_block_stores_its_delivery(calls_of):
    calls_of(post_save, sender=Article)
    with transaction.atomic(durable=True):
        Article.objects.create()
    assert stored() == 1


def test_a_transaction_that_is_marked_for_rollback_stores_nothing(calls_of):
    calls_of(post_save, sender=Article)
    with transaction.atomic():
        Article.objects.create()
        transaction.set_rollback(True)
    assert stored() == 0


def test_t14_a_delivery_is_in_the_database_of_its_row(calls_of):
    calls_of(post_save, sender=Article)
    Article.objects.using("other").create()
    assert (stored("default"), stored("other")) == (0, 1)


def test_t14_it_is_stored_at_the_commit_of_that_database(calls_of):
    calls_of(post_save, sender=Article)
    with transaction.atomic():
        with transaction.atomic(using="other"):
            Article.objects.using("other").create()
        assert (stored("default"), stored("other")) == (0, 1)


@pytest.mark.parametrize(("lost", "kept"), [("default", "other"), ("other", "default")])
def test_t14_of_two_databases_only_the_one_that_commits_has_its_deliveries(calls_of, lost, kept):
    calls_of(post_save, sender=Article)
    with transaction.atomic(using=kept):
        Article.objects.using(kept).create()
        with mishap(), transaction.atomic(using=lost):
            Article.objects.using(lost).create()
            raise MishapError
    assert (stored(lost), stored(kept)) == (0, 1)


def test_t14_the_deliveries_of_a_database_are_made_by_its_own_worker(calls_of):
    received = calls_of(post_save, sender=Article)
    article = Article.objects.using("other").create(title="there")
    assert drain() == []
    assert drain(using="other") == [Succeeded()]
    assert [(one["instance"], one["instance"]._state.db) for one in received] == [(article, "other")]


def test_t14_a_signal_goes_by_the_database_that_it_names(calls_of):
    shipped = Signal(name="shop.shipped")
    calls_of(shipped)
    shipped.send(sender=Article, using="other")
    assert (stored("default"), stored("other")) == (0, 1)


@really_committed
@pytest.mark.parametrize("block", [nullcontext, transaction.atomic], ids=["a save", "a block"])
def test_t15_where_commits_are_made_by_hand_there_is_a_clear_error(calls_of, block):
    calls_of(post_save, sender=Article)
    transaction.set_autocommit(False)
    try:
        with pytest.raises(transaction.TransactionManagementError, match="'default' is committed by hand"), block():
            Article.objects.create()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


@really_committed
@has_sessions
def test_t16_a_connection_that_is_lost_before_the_commit_stores_nothing(calls_of, receive):
    calls_of(post_save, sender=Article)

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def lose_connection(sender, **kwargs):
        end_own()

    with pytest.raises(DatabaseError), transaction.atomic():
        Article.objects.create()
    connection.close()
    assert (stored(), Article.objects.count()) == (0, 0)


class TestT17InsideATestCase:
    """Inside a TestCase of Django, which rolls everything back: as all tests here that are not said to commit."""

    def test_the_end_of_the_outermost_block_is_the_commit(self, calls_of):
        calls_of(post_save, sender=Article)
        with transaction.atomic():
            with transaction.atomic():
                Article.objects.create()
            assert stored() == 0
        assert stored() == 1

    def test_without_a_block_a_save_is_its_own_commit(self, calls_of):
        calls_of(post_save, sender=Article)
        Article.objects.create()
        assert stored() == 1

    def test_what_is_due_before_the_commit_comes_before_it_is_stored(self, calls_of, receive):
        calls_of(post_save, sender=Article)
        found = []

        @receive(post_save, sender=Article, delivery=BeforeCommit())
        def look(sender, **kwargs):
            found.append(stored())

        Article.objects.create()
        assert found == [0]

    def test_after_the_commit_it_is_there(self, calls_of, receive):
        calls_of(post_save, sender=Article)
        found = []

        @receive(post_save, sender=Article, delivery=OnCommit())
        def look(sender, **kwargs):
            found.append(stored())

        Article.objects.create()
        assert found == [1]

    def test_a_send_that_fails_undoes_the_block_and_leaves_the_test_going(self, calls_of):
        calls_of(post_save, Durable(key=refuse), sender=Article)
        with mishap(), transaction.atomic():
            Article.objects.create()
        assert Article.objects.count() == 0

    def test_a_send_that_fails_undoes_the_save_and_leaves_the_test_going(self, calls_of):
        calls_of(post_save, Durable(key=refuse), sender=Article)
        with mishap():
            Article.objects.create()
        assert Article.objects.count() == 0

    def test_a_block_that_is_rolled_back_stores_nothing_then_or_later(self, calls_of):
        calls_of(post_save, sender=Article)
        with mishap(), transaction.atomic():
            Article.objects.create()
            raise MishapError
        with transaction.atomic():
            Genre.objects.create()
        assert stored() == 0

    def test_a_switch_turns_it_off(self, calls_of, settings):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        calls_of(post_save, sender=Article)
        with transaction.atomic():
            Article.objects.create()
        assert stored() == 0

    def test_then_callbacks_can_be_captured_as_those_of_django(self, calls_of, settings):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        calls_of(post_save, sender=Article)
        with TestCase.captureOnCommitCallbacks(execute=True):
            Article.objects.create()
        assert stored() == 1

    def test_and_those_of_batches_too(self, batches, settings):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        received = batches(post_save, sender=Article)
        with TestCase.captureOnCommitCallbacks(execute=True):
            article = Article.objects.create()
        drain()
        assert [batch.created for batch in received] == [[article]]

    def test_callbacks_that_are_captured_do_not_come_twice(self, calls_of):
        calls_of(post_save, sender=Article)
        with TestCase.captureOnCommitCallbacks(execute=True), transaction.atomic():
            Article.objects.create()
        assert stored() == 1

    def test_the_data_of_a_test_class_are_stored_too(self, calls_of):
        calls_of(post_save, sender=Article)
        found = []

        class WithData(TestCase):
            databases = ("default",)

            @classmethod
            def setUpTestData(cls):
                Article.objects.create()
                found.append(stored())

        WithData.setUpClass()
        WithData.tearDownClass()
        WithData.doClassCleanups()
        assert found == [1]


# --- what comes before the commit ---------------------------------------------------------------------------------


def test_t18_what_receivers_save_before_the_commit_is_stored_with_the_rest(calls_of, receive):
    received = calls_of(post_save, sender=Article)

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def go_on(sender, instance, **kwargs):
        if instance.words < 5:
            Article.objects.create(words=instance.words + 1)

    with transaction.atomic():
        Article.objects.create(words=1)
    drain()
    assert [one["instance"].words for one in received] == [1, 2, 3, 4, 5]


def test_t18_a_batch_has_what_receivers_save_before_the_commit(batches, receive):
    received = batches(post_save, sender=Article)

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def go_on(sender, instance, **kwargs):
        if instance.words < 5:
            Article.objects.create(words=instance.words + 1)

    Article.objects.create(words=1)
    drain()
    assert [[one.words for one in batch.created] for batch in received] == [[1, 2, 3, 4, 5]]


def test_t18_receivers_that_save_what_each_other_receives_are_no_cycle_before_the_commit(calls_of, receive):
    @receive(post_save, sender=Article, delivery=Durable())
    def go_on(sender, instance, **kwargs):
        Genre.objects.create()

    @receive(post_save, sender=Genre, delivery=Durable())
    def and_on(sender, instance, **kwargs):
        Article.objects.create()

    Article.objects.create()
    drain(limit=4)
    assert (Article.objects.count(), Genre.objects.count()) == (3, 2)


@really_committed
def test_t19_the_error_of_the_database_is_what_the_caller_sees_and_nothing_is_stored(calls_of, receive):
    Country.objects.create(code="de")
    calls_of(post_save, sender=Article)

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def collide(sender, **kwargs):
        Country.objects.create(code="de")

    with pytest.raises(IntegrityError), transaction.atomic():
        Article.objects.create()
    assert (Article.objects.count(), stored()) == (0, 0)


@really_committed
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
    drain()
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
    await sync_to_async(drain)()
    assert sorted(len(batch.created) for batch in received) == [2, 3]


async def test_a_save_of_async_code_has_its_delivery(calls_of, async_database):
    received = calls_of(post_save, sender=Article)
    article = await Article.objects.acreate()
    await sync_to_async(drain)()
    assert await sync_to_async(lambda: [one["instance"] for one in received] == [article])()


async def test_a_send_of_async_code_has_its_delivery(calls_of, async_database):
    shipped = Signal(name="shop.shipped")
    received = calls_of(shipped)
    await shipped.asend(sender=Article, carrier="post")
    await sync_to_async(drain)()
    assert [one["carrier"] for one in received] == ["post"]


# --- statements ---------------------------------------------------------------------------------------------------


TABLE = Delivery._meta.db_table


def saves_and_more():
    with transaction.atomic():
        for _ in range(3):
            Article.objects.create()


@pytest.fixture
def two_stores_and_more(receive, calls_of):
    """Two durable receivers of articles, and one that saves more before the commit."""
    calls_of(post_save, sender=Article)

    @receive(post_save, sender=Article, delivery=Durable(queue="mail"))
    def record_again(sender, **kwargs): ...

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def save_more(sender, **kwargs):
        Genre.objects.create()


@really_committed
def test_all_deliveries_of_a_transaction_are_one_statement(two_stores_and_more):
    assert [TABLE in statement for statement in statements(saves_and_more)].count(True) == 1
    assert stored() == 6


@really_committed
def test_that_statement_is_the_last_of_the_transaction(two_stores_and_more):
    *_, last, commit = statements(saves_and_more)
    assert (TABLE in last, commit.split()[0]) == (True, "COMMIT")


@really_committed
def test_it_is_one_however_many_there_are(calls_of):
    calls_of(post_save, sender=Ware, bulk=True)

    def create():
        Ware.objects.bulk_create([Ware(name=str(number)) for number in range(200)])

    assert [TABLE in statement for statement in statements(create)].count(True) == 1
    assert stored() == 200


@really_committed
def test_a_save_in_autocommit_is_a_transaction_of_two_statements(calls_of):
    calls_of(post_save, sender=Article)
    begin, insert, store_it, commit = statements(Article.objects.create)
    assert [one.split()[0] for one in (begin, insert, commit)] == ["BEGIN", "INSERT", "COMMIT"]
    assert TABLE in store_it


def test_what_the_outbox_writes_reaches_no_receiver(calls_of):
    received = [calls_of(post_save, bulk=True), calls_of(post_update)]
    Article.objects.create()
    Article.objects.update(words=1)
    drain(limit=10)
    assert {one["sender"] for one in (*received[0], *received[1])} == {Article}
    assert stored() == 3


@really_committed
def test_a_save_that_nobody_receives_begins_no_transaction(calls_of):
    calls_of(post_save, sender=Article)
    assert [one.split()[0] for one in statements(Genre.objects.create)] == ["INSERT"]


@really_committed
def test_deliveries_of_two_databases_are_a_statement_in_each(calls_of):
    calls_of(post_save, sender=Article)

    def create():
        with transaction.atomic(), transaction.atomic(using="other"):
            for alias in ("default", "other", "default", "other"):
                Article.objects.using(alias).create()

    create()
    assert (stored("default"), stored("other")) == (2, 2)


@really_committed
def test_a_transaction_whose_sends_were_all_undone_stores_nothing_in_no_statement(calls_of):
    calls_of(post_save, sender=Article)

    def create():
        with transaction.atomic():
            with mishap(), transaction.atomic():
                Article.objects.create()
                raise MishapError
            Genre.objects.create()

    assert not any(TABLE in statement for statement in statements(create))


# --- the row ------------------------------------------------------------------------------------------------------


def test_a_delivery_waits_in_its_queue_under_the_name_of_its_receiver(calls_of):
    calls_of(post_save, Durable(queue="mail"), sender=Article)
    Article.objects.create()
    row = Delivery.objects.get()
    assert (row.state, row.queue, row.backend, row.attempts, row.key) == (State.READY, "mail", "default", 0, "")
    assert row.receiver == "tests.outbox.conftest.calls_of.<locals>.connect.<locals>.record"
    assert (row.signal, row.sender) == ("django.db.models.signals.post_save", "app.Article")


def test_its_times_are_those_of_the_database(calls_of):
    calls_of(post_save, sender=Article)
    Article.objects.create()
    row = Delivery.objects.get()
    assert row.created_at == row.due_at
    assert (row.claimed_at, row.leased_until, row.finished_at) == (None, None, None)


def test_deliveries_are_in_the_order_of_their_sends(receive, calls_of):
    received = calls_of(post_save, sender=Article)
    with transaction.atomic():
        for number in (3, 1, 2):
            Article.objects.create(words=number)
    assert [*Delivery.objects.values_list("id", flat=True)] == sorted(Delivery.objects.values_list("id", flat=True))
    drain()
    assert [one["instance"].words for one in received] == [3, 1, 2]


def test_a_receiver_of_several_signals_is_given_the_one_that_was_sent(receive):
    received = []

    @receive([post_save, post_delete], sender=Article, delivery=Durable())
    def record(signal, sender, instance, **kwargs):
        received.append((signal, "created" in kwargs))

    article = Article.objects.create()
    drain()
    article.delete()
    drain()
    assert received == [(post_save, True), (post_delete, False)]


# --- who sends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_muted_receiver_stores_nothing(calls_of, is_atomic):
    calls_of(post_save, sender=Article)
    with transaction.atomic() if is_atomic else nullcontext(), mute(post_save):
        Article.objects.create()
    assert stored() == 0


def test_a_condition_is_asked_at_the_send(calls_of):
    received = calls_of(post_save, sender=Article, when=created)
    article = Article.objects.create()
    article.save()
    drain()
    assert [one["created"] for one in received] == [True]


def test_a_receiver_of_one_database_receives_no_other(calls_of):
    calls_of(post_save, sender=Article, using="other")
    Article.objects.create()
    Article.objects.using("other").create()
    assert (stored("default"), stored("other")) == (0, 1)


def test_a_receiver_of_subclasses_receives_a_child_as_what_it_is(calls_of):
    received = calls_of(post_save, sender=Novel, subclasses=True)
    book = Audiobook.objects.create()
    drain()
    assert [(one["sender"], one["instance"]) for one in received] == [(Audiobook, book)]


def test_an_object_that_is_saved_as_two_rows_comes_as_two_instances(calls_of):
    received = calls_of(post_save, sender=Article)
    with transaction.atomic():
        article = Article.objects.create()
        first, article.pk, article._state.adding = article.pk, None, True
        article.save()
    drain()
    assert [one["instance"].pk for one in received] == [first, article.pk]


def test_an_instance_that_is_deleted_later_in_the_transaction_had_its_key_when_it_was_saved(receive):
    keys = []

    @receive(post_save, sender=Article, delivery=Durable(key="instance.pk", missing="discard"))
    def record(sender, instance, **kwargs):
        keys.append(instance.pk)

    with transaction.atomic():
        article = Article.objects.create()
        key = article.pk
        article.delete()
    assert Delivery.objects.get().key == str(key)
    drain()
    assert keys == []


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_an_instance_that_was_deleted_keeps_its_key_until_it_is_delivered(receive, signal):
    keys = []

    @receive(signal, sender=Article, delivery=Durable())
    def record(sender, instance, **kwargs):
        keys.append(instance.pk)

    article = Article.objects.create()
    key = article.pk
    with transaction.atomic():
        article.delete()
        assert article.pk is None
    drain()
    assert keys == [key]


# --- rows of batches ----------------------------------------------------------------------------------------------


def test_a_deletion_of_a_row_that_is_gone_already_is_no_delivery_of_a_batch(batches):
    article = Article.objects.create()
    Article.objects.all()._raw_delete("default")
    batches(post_delete, sender=Article)
    article.delete()
    assert not Delivery.objects.exists()


def test_a_batch_has_the_values_of_the_row_that_was_deleted_and_not_those_of_a_stale_copy(batches):
    Article.objects.create(words=1)
    stale = Article.objects.get()
    Article.objects.update(words=2)
    received = batches(post_delete, sender=Article)
    stale.delete()
    drain()
    assert [one.words for batch in received for one in batch.deleted] == [2]


def test_a_batch_has_one_event_for_a_row_that_was_saved_through_a_proxy_too(batches):
    received = batches(post_save, sender=[Novel, Reprint])
    with transaction.atomic():
        novel = Novel.objects.create(name="a")
        Reprint(pk=novel.pk, name="b").save()
    drain()
    assert [[(event.sender, event.kind, event.instance.name) for event in batch.events] for batch in received] == [
        [(Reprint, "created", "b")]
    ]


def test_a_batch_of_relations_has_their_net_change(batches):
    novel, genre = Novel.objects.create(name="a"), Genre.objects.create(name="b")
    received = batches(m2m_changes, sender=Novel.genres.through)
    with transaction.atomic():
        novel.genres.add(genre)
        novel.genres.remove(genre)
    assert not Delivery.objects.exists()
    novel.genres.add(genre)
    drain()
    assert [event.kwargs["added"] for batch in received for event in batch.events] == [{(novel.pk, genre.pk)}]
