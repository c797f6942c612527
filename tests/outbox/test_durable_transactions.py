"""Durable receivers and the transaction of their send: group T of the cases."""

import asyncio
import threading
from contextlib import nullcontext

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.base import BaseHandler
from django.core.signals import request_finished
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.http import HttpResponse
from django.test import RequestFactory, TestCase

from heliograph import BeforeCommit, Durable, OnCommit, Signal, changed, changes_of, created, mute
from heliograph.outbox.durable.retrying import Retry
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Dead, Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.signals import m2m_changes, post_bulk_create, post_update
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Reprint, Ticket, Ware
from tests.helpers.articles import save_as
from tests.helpers.errors import MishapError, mishap
from tests.helpers.sessions import end_own, has_sessions
from tests.helpers.statements import statements

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# Where what Django does outside of a test's own transaction is what the test is about.
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def store(receive):
    """Connect a durable receiver: `received = store(post_save, sender=Article)` is the list of its calls."""

    def connect(signal, policy=None, **options):
        received = []

        @receive(signal, delivery=policy or Durable(), **options)
        def record(sender, **payload):
            received.append({"sender": sender, **payload})

        return received

    return connect


@pytest.fixture
def batches(receive):
    """Connect a durable receiver of batches: the list has each that it is called with."""

    def connect(signal, **options):
        received = []

        @receive(signal, delivery=Durable(batch=True), **options)
        def record_batch(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


def stored(using="default"):
    return Delivery.objects.using(using).count()


# --- commits and rollbacks ----------------------------------------------------------------------------------------


def test_t1_a_delivery_is_stored_once_by_the_outermost_block(store):
    store(post_save, sender=Article)
    with transaction.atomic():
        with transaction.atomic():
            Article.objects.create(title="a")
        assert stored() == 0
    assert stored() == 1


def test_t1_the_receiver_is_called_by_a_worker_and_not_before(store):
    received = store(post_save, sender=Article)
    with transaction.atomic():
        article = Article.objects.create(title="a")
    assert received == []
    drain()
    assert [one["instance"] for one in received] == [article]


def test_t1_a_delivery_that_is_done_is_not_done_again(store):
    received = store(post_save, sender=Article)
    Article.objects.create()
    assert drain() == [Succeeded()]
    assert drain() == []
    assert len(received) == 1


@really_committed
def test_t1_row_and_delivery_are_there_for_other_connections_at_once(store):
    store(post_save, sender=Article)
    found = []

    def look():
        found.append((Article.objects.count(), stored()))
        connection.close()

    def look_in_thread():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    with transaction.atomic():
        Article.objects.create()
        look_in_thread()
        transaction.on_commit(look_in_thread)
    assert found == [(0, 0), (1, 1)]


def test_t2_after_a_rollback_there_is_no_delivery(store):
    store(post_save, sender=Article)
    with mishap(), transaction.atomic():
        Article.objects.create()
        raise MishapError
    assert stored() == 0


def test_t2_a_change_that_was_rolled_back_is_stored_once_by_the_next_save(store):
    store(post_save, sender=Article, when=changed("words"))
    article = Article.objects.create(words=1)
    article.words = 2
    with mishap(), transaction.atomic():
        article.save()
        raise MishapError
    assert changes_of(article)["words"] == (1, 2)
    article.save()
    article.save()
    assert stored() == 1


def test_t3_a_savepoint_that_rolls_back_takes_its_deliveries_with_it(store):
    received = store(post_save, sender=Article, when=changed("words"))
    outer, inner = Article.objects.create(words=1), Article.objects.create(words=1)
    with transaction.atomic():
        outer.words = 2
        outer.save()
        with mishap(), transaction.atomic():
            inner.words = 2
            inner.save()
            raise MishapError
    drain()
    assert [one["instance"] for one in received] == [outer]
    assert changes_of(inner)["words"] == (1, 2)


@pytest.fixture
def words(receive):
    """The changes of `Article.words` that a durable receiver is called with."""
    received = []

    @receive(post_save, sender=Article, when=changed("words"), delivery=Durable())
    def record_words(sender, instance, changes, **kwargs):
        received.append(changes["words"])

    return received


def test_t4_what_was_saved_outside_of_the_savepoint_is_what_counts(words):
    article = Article.objects.create(words=1)
    with transaction.atomic():
        article.words = 2
        article.save()
        with mishap(), transaction.atomic():
            article.words = 3
            article.save()
            raise MishapError
    drain()
    assert words == [(1, 2)]
    assert changes_of(article)["words"] == (2, 3)


def test_t5_without_a_batch_each_save_is_a_delivery_with_its_old_value(words):
    save_as(Article.objects.create(words=0), 1, 2, 3)
    drain()
    assert words == [(0, 1), (1, 2), (2, 3)]


def test_t5_a_batch_is_one_delivery_with_the_net_change(batches):
    received = batches(post_save, sender=Article, when=changed("words"))
    article = Article.objects.create(words=0)
    save_as(article, 1, 2, 3)
    assert stored() == 1
    drain()
    assert [batch.changes("words") for batch in received] == [[(article.pk, 0, 3)]]


def test_t5_a_batch_leaves_out_what_a_savepoint_has_undone(batches):
    received = batches(post_save, sender=Article, when=changed("words"))
    outer, inner = Article.objects.create(words=1), Article.objects.create(words=1)
    with transaction.atomic():
        save_as(outer, 2)
        with mishap(), transaction.atomic():
            save_as(inner, 2)
            save_as(outer, 3)
            raise MishapError
    drain()
    assert [batch.changes("words") for batch in received] == [[(outer.pk, 1, 2)]]


def test_t6_there_and_back_is_no_delivery_of_a_batch(batches):
    batches(post_save, sender=Article, when=changed("words"))
    save_as(Article.objects.create(words=1), 2, 1)
    assert stored() == 0


def test_t7_what_was_created_and_deleted_is_no_delivery_of_a_batch(batches):
    batches([post_save, post_delete], sender=Article)
    with transaction.atomic():
        article = Article.objects.create(words=1)
        article.words = 2
        article.save()
        article.delete()
    assert stored() == 0


def test_t7_what_was_created_and_updated_is_created_with_the_final_values(batches):
    received = batches([post_save, post_delete], sender=Article)
    with transaction.atomic():
        article = Article.objects.create(words=1)
        article.words = 2
        article.save()
    drain()
    (batch,) = received
    assert [one.words for one in batch.created] == [2]
    assert (batch.updated, batch.deleted) == ([], [])


def test_t7_what_was_updated_and_deleted_is_deleted_with_its_key(batches):
    article = Article.objects.create(words=1)
    received = batches([post_save, post_delete], sender=Article)
    key = article.pk
    with transaction.atomic():
        article.save()
        article.delete()
    drain()
    (batch,) = received
    assert [one.pk for one in batch.deleted] == [key]


def test_t8_one_that_raises_stops_no_other(receive):
    order = []

    @receive(post_save, sender=Article, delivery=Durable())
    def first(sender, **kwargs):
        order.append("first")

    @receive(post_save, sender=Article, delivery=Durable(retry=Retry(attempts=1)))
    def break_down(sender, **kwargs):
        raise MishapError("no way")

    @receive(post_save, sender=Article, delivery=Durable())
    def third(sender, **kwargs):
        order.append("third")

    Article.objects.create()
    assert [type(outcome) for outcome in drain()] == [Succeeded, Dead, Succeeded]
    assert order == ["first", "third"]


def test_t8_a_callback_of_others_that_raises_loses_nothing(store):
    store(post_save, sender=Article)

    def break_down():
        raise MishapError

    with transaction.atomic():
        transaction.on_commit(break_down)
        Article.objects.create()
    assert stored() == 1


def test_t9_what_a_receiver_saves_is_delivered_after_its_own_commit(receive):
    received = []

    @receive(post_save, sender=Article, delivery=Durable())
    def go_on(sender, instance, **kwargs):
        received.append(instance.words)
        with transaction.atomic():
            if instance.words < 3:
                Article.objects.create(words=instance.words + 1)
        assert stored() == instance.words

    Article.objects.create(words=1)
    drain()
    assert received == [1, 2, 3]


def test_t9_what_a_receiver_that_fails_has_saved_is_not_delivered(receive, store):
    received = store(post_save, sender=Genre)

    @receive(post_save, sender=Article, delivery=Durable(retry=Retry(attempts=1)))
    def save_and_fail(sender, **kwargs):
        Genre.objects.create()
        raise MishapError

    Article.objects.create()
    drain()
    assert (received, Delivery.objects.filter(signal__endswith="post_save", sender="app.Genre").count()) == ([], 0)


# --- autocommit ---------------------------------------------------------------------------------------------------


@really_committed
def test_t10_a_save_that_fails_in_autocommit_is_no_delivery(store):
    Country.objects.create(code="de", name="Germany")
    store(post_save, sender=Country, when=changed("name") | created)
    country = Country(code="de", name="Deutschland")
    with pytest.raises(IntegrityError):
        country.save(force_insert=True)
    assert stored() == 0
    assert country._state.adding


def refuse(**payload):
    raise MishapError


@really_committed
def test_t11_in_autocommit_a_send_that_fails_takes_the_row_with_it(store):
    store(post_save, Durable(key=refuse), sender=Article)
    article = Article(title="a")
    with mishap():
        article.save()
    assert (Article.objects.count(), stored()) == (0, 0)
    assert (article.pk, article._state.adding) == (None, True)


@really_committed
def test_t11_in_autocommit_a_row_with_too_much_to_store_is_not_saved(receive):
    @receive(post_save, sender=Article, when=changed("labels"), delivery=Durable())
    def record(sender, changes, **kwargs): ...

    article = Article.objects.create(labels=["few"])
    article.labels = ["x" * 300_000]
    with pytest.raises(ValueError, match="262,144 at most"):
        article.save()
    assert (Article.objects.get().labels, stored()) == (["few"], 0)
    assert "labels" in changes_of(article)


@really_committed
def test_t11_in_autocommit_a_receiver_that_fails_before_the_commit_takes_row_and_delivery_with_it(receive, store):
    store(post_save, sender=Article)

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def fail(sender, **kwargs):
        raise MishapError

    with mishap():
        Article.objects.create()
    assert (Article.objects.count(), stored()) == (0, 0)


@really_committed
def test_t11_the_row_of_a_child_and_of_its_parent_too(store):
    store(post_save, Durable(key=refuse), sender=Audiobook)
    book = Audiobook(name="a")
    with mishap():
        book.save()
    assert (Novel.objects.count(), stored()) == (0, 0)
    assert (book.pk, book.id, book._state.adding, book._state.db) == (None, None, True, None)


@really_committed
def test_t12_an_inline_receiver_finds_row_and_delivery_committed_and_its_error_reaches_the_caller(receive, store):
    store(post_save, sender=Article)
    found = []

    @receive(post_save, sender=Article)
    def look_and_fail(sender, **kwargs):
        found.append((connection.in_atomic_block, Article.objects.count(), stored()))
        raise MishapError

    with mishap():
        Article.objects.create()
    assert found == [(False, 1, 1)]
    assert (Article.objects.count(), stored()) == (1, 1)


@really_committed
def test_t12_a_receiver_of_pre_save_is_stored_in_the_transaction_of_the_row(store):
    article = Article.objects.create()
    received = store(pre_save, sender=Article)
    article.save()
    drain()
    assert [one["instance"] for one in received] == [article]


@really_committed
def test_t12_a_receiver_of_pre_save_receives_a_row_that_gets_its_key_later(store):
    received = store(pre_save, sender=Article)
    article = Article.objects.create()
    drain()
    assert [one["instance"] for one in received] == [article]


def create_article():
    Article.objects.create()


def create_child():
    Audiobook.objects.create()


def update_article():
    Article.objects.get().save(update_fields=["words"])


def get_or_create_article():
    Article.objects.get_or_create(title="new")


def delete_article():
    Article.objects.get().delete()


def delete_articles():
    Article.objects.all().delete()


def relate_genre():
    Novel.objects.get().genres.add(Genre.objects.get())


def create_wares():
    Ware.objects.bulk_create([Ware(name="new")])


def update_ware():
    ware = Ware.objects.get()
    ware.stock = 5
    Ware.objects.bulk_update([ware], ["stock"])


def update_wares():
    Ware.objects.update(stock=6)


def delete_wares():
    Ware.objects.all().delete()


IN_AUTOCOMMIT = {
    "save of a new row": (create_article, post_save, Article, {}),
    "save of a row of two tables": (create_child, post_save, Audiobook, {}),
    "save of a row that is there": (update_article, post_save, Article, {}),
    "get_or_create": (get_or_create_article, post_save, Article, {}),
    "delete of an instance": (delete_article, post_delete, Article, {}),
    "delete of an instance, before": (delete_article, pre_delete, Article, {}),
    "delete of a query": (delete_articles, post_delete, Article, {}),
    "m2m add": (relate_genre, m2m_changes, Novel.genres.through, {}),
    "bulk_create, row by row": (create_wares, post_save, Ware, {"bulk": True}),
    "bulk_update, row by row": (update_ware, post_save, Ware, {"bulk": True}),
    "update, row by row": (update_wares, post_save, Ware, {"bulk": True}),
    "delete, row by row": (delete_wares, post_delete, Ware, {"bulk": True}),
    "bulk_create": (create_wares, post_bulk_create, Ware, {}),
    "update": (update_wares, post_update, Ware, {}),
}


@pytest.fixture
def rows(transactional_db):
    """One row of each kind."""
    Article.objects.create(words=1)
    Novel.objects.create()
    Genre.objects.create()
    Ware.objects.create(name="old")


def contents():
    """Return all that is stored of the models that the writes are about."""
    values = [
        sorted(Article.objects.values_list("id", "updated")),
        sorted(Audiobook.objects.values_list("id")),
        sorted(Novel.objects.values_list("id")),
        sorted(Novel.genres.through.objects.values_list("novel_id", "genre_id")),
        sorted(Ware.objects.values_list("name", "stock")),
    ]
    return [*values, stored()]


each_write = pytest.mark.parametrize(
    ("write", "signal", "sender", "options"), IN_AUTOCOMMIT.values(), ids=IN_AUTOCOMMIT.keys()
)


@really_committed
@each_write
def test_in_autocommit_a_write_has_its_delivery(rows, store, write, signal, sender, options):
    received = store(signal, sender=sender, **options)
    write()
    assert stored() == 1
    assert drain() == [Succeeded()]
    assert [one["sender"] for one in received] == [sender]


@really_committed
@each_write
def test_in_autocommit_a_write_whose_delivery_cannot_be_stored_is_undone(rows, store, write, signal, sender, options):
    before = contents()
    store(signal, Durable(key=refuse), sender=sender, **options)
    with mishap():
        write()
    assert contents() == before


@really_committed
def test_in_autocommit_m2m_changed_has_its_deliveries(rows, receive):
    actions = []

    @receive(m2m_changed, sender=Novel.genres.through, delivery=Durable())
    def record(sender, action, pk_set, **kwargs):
        actions.append((action, pk_set))

    relate_genre()
    drain()
    keys = {Genre.objects.get().pk}
    assert actions == [("pre_add", keys), ("post_add", keys)]


@really_committed
def test_in_autocommit_many_to_many_rows_whose_delivery_cannot_be_stored_are_undone(rows, store):
    store(m2m_changed, Durable(key=refuse), sender=Novel.genres.through)
    with mishap():
        relate_genre()
    assert Novel.genres.through.objects.count() == 0


@really_committed
def test_in_autocommit_a_signal_of_ones_own_has_its_delivery(store):
    shipped = Signal(name="shop.shipped")
    received = store(shipped)
    shipped.send(sender=None, using="default", carrier="train")
    drain()
    assert [one["carrier"] for one in received] == ["train"]


@really_committed
def test_in_autocommit_what_is_due_before_the_commit_of_a_signal_goes_with_its_delivery(receive, store):
    shipped = Signal(name="shop.shipped")

    @receive(shipped, delivery=BeforeCommit())
    def create(sender, **kwargs):
        Genre.objects.create()

    store(shipped, Durable(key=refuse))
    with mishap():
        shipped.send(sender=Article)
    assert stored() == 0


def test_a_signal_that_names_no_database_is_stored_in_the_default_one(store):
    shipped = Signal(name="shop.shipped")
    store(shipped)
    shipped.send(sender=None)
    assert (stored("default"), stored("other")) == (1, 0)


def test_a_signal_that_is_about_no_database_is_refused_where_it_is_connected(store):
    with pytest.raises(TypeError, match=r"request_finished is not about a database"):
        store(request_finished)


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


def test_t13_a_request_that_ends_in_an_error_stores_nothing(store, view):
    store(post_save, sender=Article)
    with mishap():
        view(RequestFactory().get("/"), 500)
    assert stored() == 0


def test_t13_a_request_that_ends_well_stores_its_delivery(store, view):
    store(post_save, sender=Article)
    view(RequestFactory().get("/"), 200)
    assert stored() == 1


@really_committed
def test_t13_a_durable_block_stores_its_delivery(store):
    store(post_save, sender=Article)
    with transaction.atomic(durable=True):
        Article.objects.create()
    assert stored() == 1


def test_a_transaction_that_is_marked_for_rollback_stores_nothing(store):
    store(post_save, sender=Article)
    with transaction.atomic():
        Article.objects.create()
        transaction.set_rollback(True)
    assert stored() == 0


def test_t14_a_delivery_is_in_the_database_of_its_row(store):
    store(post_save, sender=Article)
    Article.objects.using("other").create()
    assert (stored("default"), stored("other")) == (0, 1)


def test_t14_it_is_stored_at_the_commit_of_that_database(store):
    store(post_save, sender=Article)
    with transaction.atomic():
        with transaction.atomic(using="other"):
            Article.objects.using("other").create()
        assert (stored("default"), stored("other")) == (0, 1)


@pytest.mark.parametrize(("lost", "kept"), [("default", "other"), ("other", "default")])
def test_t14_of_two_databases_only_the_one_that_commits_has_its_deliveries(store, lost, kept):
    store(post_save, sender=Article)
    with transaction.atomic(using=kept):
        Article.objects.using(kept).create()
        with mishap(), transaction.atomic(using=lost):
            Article.objects.using(lost).create()
            raise MishapError
    assert (stored(lost), stored(kept)) == (0, 1)


def test_t14_the_deliveries_of_a_database_are_made_by_its_own_worker(store):
    received = store(post_save, sender=Article)
    article = Article.objects.using("other").create(title="there")
    assert drain() == []
    assert drain(using="other") == [Succeeded()]
    assert [(one["instance"], one["instance"]._state.db) for one in received] == [(article, "other")]


def test_t14_a_signal_goes_by_the_database_that_it_names(store):
    shipped = Signal(name="shop.shipped")
    store(shipped)
    shipped.send(sender=Article, using="other")
    assert (stored("default"), stored("other")) == (0, 1)


@really_committed
@pytest.mark.parametrize("block", [nullcontext, transaction.atomic], ids=["a save", "a block"])
def test_t15_where_commits_are_made_by_hand_there_is_a_clear_error(store, block):
    store(post_save, sender=Article)
    transaction.set_autocommit(False)
    try:
        with pytest.raises(transaction.TransactionManagementError, match="'default' is committed by hand"), block():
            Article.objects.create()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


@really_committed
@has_sessions
def test_t16_a_connection_that_is_lost_before_the_commit_stores_nothing(store, receive):
    store(post_save, sender=Article)

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def lose_connection(sender, **kwargs):
        end_own()

    with pytest.raises(DatabaseError), transaction.atomic():
        Article.objects.create()
    connection.close()
    assert (stored(), Article.objects.count()) == (0, 0)


class TestT17InsideATestCase:
    """Inside a TestCase of Django, which rolls everything back: as all tests here that are not said to commit."""

    def test_the_end_of_the_outermost_block_is_the_commit(self, store):
        store(post_save, sender=Article)
        with transaction.atomic():
            with transaction.atomic():
                Article.objects.create()
            assert stored() == 0
        assert stored() == 1

    def test_without_a_block_a_save_is_its_own_commit(self, store):
        store(post_save, sender=Article)
        Article.objects.create()
        assert stored() == 1

    def test_what_is_due_before_the_commit_comes_before_it_is_stored(self, store, receive):
        store(post_save, sender=Article)
        found = []

        @receive(post_save, sender=Article, delivery=BeforeCommit())
        def look(sender, **kwargs):
            found.append(stored())

        Article.objects.create()
        assert found == [0]

    def test_after_the_commit_it_is_there(self, store, receive):
        store(post_save, sender=Article)
        found = []

        @receive(post_save, sender=Article, delivery=OnCommit())
        def look(sender, **kwargs):
            found.append(stored())

        Article.objects.create()
        assert found == [1]

    def test_a_send_that_fails_undoes_the_block_and_leaves_the_test_going(self, store):
        store(post_save, Durable(key=refuse), sender=Article)
        with mishap(), transaction.atomic():
            Article.objects.create()
        assert Article.objects.count() == 0

    def test_a_send_that_fails_undoes_the_save_and_leaves_the_test_going(self, store):
        store(post_save, Durable(key=refuse), sender=Article)
        with mishap():
            Article.objects.create()
        assert Article.objects.count() == 0

    def test_a_block_that_is_rolled_back_stores_nothing_then_or_later(self, store):
        store(post_save, sender=Article)
        with mishap(), transaction.atomic():
            Article.objects.create()
            raise MishapError
        with transaction.atomic():
            Genre.objects.create()
        assert stored() == 0

    def test_a_switch_turns_it_off(self, store, settings):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        store(post_save, sender=Article)
        with transaction.atomic():
            Article.objects.create()
        assert stored() == 0

    def test_then_callbacks_can_be_captured_as_those_of_django(self, store, settings):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        store(post_save, sender=Article)
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

    def test_callbacks_that_are_captured_do_not_come_twice(self, store):
        store(post_save, sender=Article)
        with TestCase.captureOnCommitCallbacks(execute=True), transaction.atomic():
            Article.objects.create()
        assert stored() == 1

    def test_the_data_of_a_test_class_are_stored_too(self, store):
        store(post_save, sender=Article)
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


def test_t18_what_receivers_save_before_the_commit_is_stored_with_the_rest(store, receive):
    received = store(post_save, sender=Article)

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


def test_t18_receivers_that_save_what_each_other_receives_are_no_cycle_before_the_commit(store, receive):
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
def test_t19_the_error_of_the_database_is_what_the_caller_sees_and_nothing_is_stored(store, receive):
    Country.objects.create(code="de")
    store(post_save, sender=Article)

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


async def test_a_save_of_async_code_has_its_delivery(store, async_database):
    received = store(post_save, sender=Article)
    article = await Article.objects.acreate()
    await sync_to_async(drain)()
    assert await sync_to_async(lambda: [one["instance"] for one in received] == [article])()


async def test_a_send_of_async_code_has_its_delivery(store, async_database):
    shipped = Signal(name="shop.shipped")
    received = store(shipped)
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
def two_stores_and_more(receive, store):
    """Two durable receivers of articles, and one that saves more before the commit."""
    store(post_save, sender=Article)

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
def test_it_is_one_however_many_there_are(store):
    store(post_save, sender=Ware, bulk=True)

    def create():
        Ware.objects.bulk_create([Ware(name=str(number)) for number in range(200)])

    assert [TABLE in statement for statement in statements(create)].count(True) == 1
    assert stored() == 200


@really_committed
def test_a_save_in_autocommit_is_a_transaction_of_two_statements(store):
    store(post_save, sender=Article)
    begin, insert, store_it, commit = statements(Article.objects.create)
    assert [one.split()[0] for one in (begin, insert, commit)] == ["BEGIN", "INSERT", "COMMIT"]
    assert TABLE in store_it


def test_what_the_outbox_writes_reaches_no_receiver(store):
    received = [store(post_save, bulk=True), store(post_update)]
    Article.objects.create()
    Article.objects.update(words=1)
    drain(limit=10)
    assert {one["sender"] for one in (*received[0], *received[1])} == {Article}
    assert stored() == 3


@really_committed
def test_a_save_that_nobody_receives_begins_no_transaction(store):
    store(post_save, sender=Article)
    assert [one.split()[0] for one in statements(Genre.objects.create)] == ["INSERT"]


@really_committed
def test_deliveries_of_two_databases_are_a_statement_in_each(store):
    store(post_save, sender=Article)

    def create():
        with transaction.atomic(), transaction.atomic(using="other"):
            for alias in ("default", "other", "default", "other"):
                Article.objects.using(alias).create()

    create()
    assert (stored("default"), stored("other")) == (2, 2)


@really_committed
def test_a_transaction_whose_sends_were_all_undone_stores_nothing_in_no_statement(store):
    store(post_save, sender=Article)

    def create():
        with transaction.atomic():
            with mishap(), transaction.atomic():
                Article.objects.create()
                raise MishapError
            Genre.objects.create()

    assert not any(TABLE in statement for statement in statements(create))


# --- the row ------------------------------------------------------------------------------------------------------


def test_a_delivery_waits_in_its_queue_under_the_name_of_its_receiver(store):
    store(post_save, Durable(queue="mail"), sender=Article)
    Article.objects.create()
    row = Delivery.objects.get()
    assert (row.state, row.queue, row.backend, row.attempts, row.key) == (State.READY, "mail", "default", 0, "")
    assert row.receiver == f"{__name__}.store.<locals>.connect.<locals>.record"
    assert (row.signal, row.sender) == ("django.db.models.signals.post_save", "app.Article")


def test_its_times_are_those_of_the_database(store):
    store(post_save, sender=Article)
    Article.objects.create()
    row = Delivery.objects.get()
    assert row.created_at == row.due_at
    assert (row.claimed_at, row.leased_until, row.finished_at) == (None, None, None)


def test_deliveries_are_in_the_order_of_their_sends(receive, store):
    received = store(post_save, sender=Article)
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
def test_a_muted_receiver_stores_nothing(store, is_atomic):
    store(post_save, sender=Article)
    with transaction.atomic() if is_atomic else nullcontext(), mute(post_save):
        Article.objects.create()
    assert stored() == 0


def test_a_condition_is_asked_at_the_send(store):
    received = store(post_save, sender=Article, when=created)
    article = Article.objects.create()
    article.save()
    drain()
    assert [one["created"] for one in received] == [True]


def test_a_receiver_of_one_database_receives_no_other(store):
    store(post_save, sender=Article, using="other")
    Article.objects.create()
    Article.objects.using("other").create()
    assert (stored("default"), stored("other")) == (0, 1)


def test_a_receiver_of_subclasses_receives_a_child_as_what_it_is(store):
    received = store(post_save, sender=Novel, subclasses=True)
    book = Audiobook.objects.create()
    drain()
    assert [(one["sender"], one["instance"]) for one in received] == [(Audiobook, book)]


def test_an_object_that_is_saved_as_two_rows_comes_as_two_instances(store):
    received = store(post_save, sender=Article)
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
