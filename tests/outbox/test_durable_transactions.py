"""Durable receivers and the transaction of their send: group T of the cases."""

import threading

import pytest
from django.core.signals import request_finished
from django.db import IntegrityError, connection, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from heliograph import BeforeCommit, Durable, Signal, changed, changes_of, created
from heliograph.outbox.durable.retrying import Retry
from heliograph.outbox.models import Delivery
from heliograph.outbox.outcomes import Dead, Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.signals import m2m_changes, post_bulk_create, post_update
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Ware
from tests.helpers.articles import save_as
from tests.helpers.deliveries import refuse, stored
from tests.helpers.errors import MishapError, mishap

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# Where what Django does outside of a test's own transaction is what the test is about.
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# --- commits and rollbacks ----------------------------------------------------------------------------------------


def test_t1_a_delivery_is_stored_once_by_the_outermost_block(calls_of):
    calls_of(post_save, sender=Article)
    with transaction.atomic():
        with transaction.atomic():
            Article.objects.create(title="a")
        assert stored() == 0
    assert stored() == 1


def test_t1_deliveries_are_stored_at_once_after_the_last_calls_and_what_they_cause(calls_of, receive):
    calls_of(post_save, sender=Article)
    calls_of(post_save, sender=Genre)
    found = []

    @receive(post_save, sender=Article, delivery=BeforeCommit(last=True))
    def cause(sender, **kwargs):
        found.append(stored())
        Genre.objects.create()

    with transaction.atomic():
        Article.objects.create()
        Article.objects.create()
    assert (found, stored()) == ([0, 0], 4)


def test_t1_the_receiver_is_called_by_a_worker_and_not_before(calls_of):
    received = calls_of(post_save, sender=Article)
    with transaction.atomic():
        article = Article.objects.create(title="a")
    assert received == []
    drain()
    assert [one["instance"] for one in received] == [article]


def test_t1_a_delivery_that_is_done_is_not_done_again(calls_of):
    received = calls_of(post_save, sender=Article)
    Article.objects.create()
    assert drain() == [Succeeded()]
    assert drain() == []
    assert len(received) == 1


@really_committed
def test_t1_row_and_delivery_are_there_for_other_connections_at_once(calls_of):
    calls_of(post_save, sender=Article)
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


def test_t2_after_a_rollback_there_is_no_delivery(calls_of):
    calls_of(post_save, sender=Article)
    with mishap(), transaction.atomic():
        Article.objects.create()
        raise MishapError
    assert stored() == 0


def test_t2_a_change_that_was_rolled_back_is_stored_once_by_the_next_save(calls_of):
    calls_of(post_save, sender=Article, when=changed("words"))
    article = Article.objects.create(words=1)
    article.words = 2
    with mishap(), transaction.atomic():
        article.save()
        raise MishapError
    assert changes_of(article)["words"] == (1, 2)
    article.save()
    article.save()
    assert stored() == 1


def test_t3_a_savepoint_that_rolls_back_takes_its_deliveries_with_it(calls_of):
    received = calls_of(post_save, sender=Article, when=changed("words"))
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


def test_t8_a_callback_of_others_that_raises_loses_nothing(calls_of):
    calls_of(post_save, sender=Article)

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


def test_t9_what_a_receiver_that_fails_has_saved_is_not_delivered(receive, calls_of):
    received = calls_of(post_save, sender=Genre)

    @receive(post_save, sender=Article, delivery=Durable(retry=Retry(attempts=1)))
    def save_and_fail(sender, **kwargs):
        Genre.objects.create()
        raise MishapError

    Article.objects.create()
    drain()
    assert (received, Delivery.objects.filter(signal__endswith="post_save", sender="app.Genre").count()) == ([], 0)


# --- autocommit ---------------------------------------------------------------------------------------------------


@really_committed
def test_t10_a_save_that_fails_in_autocommit_is_no_delivery(calls_of):
    Country.objects.create(code="de", name="Germany")
    calls_of(post_save, sender=Country, when=changed("name") | created)
    country = Country(code="de", name="Deutschland")
    with pytest.raises(IntegrityError):
        country.save(force_insert=True)
    assert stored() == 0
    assert country._state.adding


@really_committed
def test_t11_in_autocommit_a_send_that_fails_takes_the_row_with_it(calls_of):
    calls_of(post_save, Durable(key=refuse), sender=Article)
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
def test_t11_in_autocommit_a_receiver_that_fails_before_the_commit_takes_row_and_delivery_with_it(receive, calls_of):
    calls_of(post_save, sender=Article)

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def fail(sender, **kwargs):
        raise MishapError

    with mishap():
        Article.objects.create()
    assert (Article.objects.count(), stored()) == (0, 0)


@really_committed
def test_t11_the_row_of_a_child_and_of_its_parent_too(calls_of):
    calls_of(post_save, Durable(key=refuse), sender=Audiobook)
    book = Audiobook(name="a")
    with mishap():
        book.save()
    assert (Novel.objects.count(), stored()) == (0, 0)
    assert (book.pk, book.id, book._state.adding, book._state.db) == (None, None, True, None)


@really_committed
def test_t12_an_inline_receiver_finds_row_and_delivery_committed_and_its_error_reaches_the_caller(receive, calls_of):
    calls_of(post_save, sender=Article)
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
def test_t12_a_receiver_of_pre_save_is_stored_in_the_transaction_of_the_row(calls_of):
    article = Article.objects.create()
    received = calls_of(pre_save, sender=Article)
    article.save()
    drain()
    assert [one["instance"] for one in received] == [article]


@really_committed
def test_t12_a_receiver_of_pre_save_receives_a_row_that_gets_its_key_later(calls_of):
    received = calls_of(pre_save, sender=Article)
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
def test_in_autocommit_a_write_has_its_delivery(rows, calls_of, write, signal, sender, options):
    received = calls_of(signal, sender=sender, **options)
    write()
    assert stored() == 1
    assert drain() == [Succeeded()]
    assert [one["sender"] for one in received] == [sender]


@really_committed
@each_write
def test_in_autocommit_a_write_whose_delivery_cannot_be_stored_is_undone(
    rows, calls_of, write, signal, sender, options
):
    before = contents()
    calls_of(signal, Durable(key=refuse), sender=sender, **options)
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
def test_in_autocommit_many_to_many_rows_whose_delivery_cannot_be_stored_are_undone(rows, calls_of):
    calls_of(m2m_changed, Durable(key=refuse), sender=Novel.genres.through)
    with mishap():
        relate_genre()
    assert Novel.genres.through.objects.count() == 0


@really_committed
def test_in_autocommit_a_signal_of_ones_own_has_its_delivery(calls_of):
    shipped = Signal(name="shop.shipped")
    received = calls_of(shipped)
    shipped.send(sender=None, using="default", carrier="train")
    drain()
    assert [one["carrier"] for one in received] == ["train"]


@really_committed
def test_in_autocommit_what_is_due_before_the_commit_of_a_signal_goes_with_its_delivery(receive, calls_of):
    shipped = Signal(name="shop.shipped")

    @receive(shipped, delivery=BeforeCommit())
    def create(sender, **kwargs):
        Genre.objects.create()

    calls_of(shipped, Durable(key=refuse))
    with mishap():
        shipped.send(sender=Article)
    assert stored() == 0


def test_a_signal_that_names_no_database_is_stored_in_the_default_one(calls_of):
    shipped = Signal(name="shop.shipped")
    calls_of(shipped)
    shipped.send(sender=None)
    assert (stored("default"), stored("other")) == (1, 0)


def test_a_signal_that_is_about_no_database_is_refused_where_it_is_connected(calls_of):
    with pytest.raises(TypeError, match=r"request_finished is not about a database"):
        calls_of(request_finished)
