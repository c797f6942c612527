"""The payload of a batch: its rows, their changes, and the fields of rows that are gone."""

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save

from heliograph import Durable, changed
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, Discarded
from heliograph.outbox.work.runner import drain
from heliograph.signals import post_bulk_create, post_bulk_delete, post_update
from tests.app.models import Article, Audiobook, Genre, Novel, Reprint, Ware, Writer
from tests.helpers.attempts import sent
from tests.helpers.payloads import AT_ONCE, MAKERS, change, is_new_or_gone, make_article, make_child, make_proxy

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_a_batch_is_a_row_for_each_sender(batches):
    received = batches(post_save, sender=[Article, Genre])
    with transaction.atomic():
        for model in (Article, Genre, Article):
            model.objects.create()
    assert [*Delivery.objects.values_list("sender", flat=True)] == ["app.Article", "app.Genre"]
    drain()
    assert [len(batch.instances) for batch in received] == [2, 1]


@pytest.fixture
def full_batch(batches):
    """A batch of a row that is new, one that is changed, and one that is gone; and the keys of these."""
    updated, deleted = Article.objects.create(words=1), Article.objects.create(title="gone")
    received = batches([post_save, post_delete], sender=Article, when=changed("words") | is_new_or_gone)
    gone = deleted.pk
    updated.refresh_from_db()
    with transaction.atomic():
        new = Article.objects.create(title="new")
        change(updated, words=2, title="unseen")
        deleted.delete()
    drain()
    (batch,) = received
    return batch, (new.pk, updated.pk, gone)


def test_a_batch_has_the_keys_of_its_rows_in_the_order_of_their_sends(full_batch):
    batch, keys = full_batch
    assert tuple(batch.pks) == keys


def test_a_batch_has_its_instances_by_what_became_of_them(full_batch):
    batch, keys = full_batch
    assert [[one.pk for one in some] for some in (batch.created, batch.updated, batch.deleted)] == [
        [key] for key in keys
    ]


def test_a_batch_has_the_changes_that_are_watched(full_batch):
    batch, (_, updated, _) = full_batch
    assert batch.changes("words") == [(updated, 1, 2)]


def test_a_batch_does_not_have_changes_that_nobody_watches(full_batch):
    batch, _ = full_batch
    with pytest.raises(LookupError, match=r"app\.Article\.title"):
        batch.changes("title")


def test_a_batch_has_the_fields_of_a_row_that_is_gone(full_batch):
    batch, _ = full_batch
    assert [one.title for one in batch.deleted] == ["gone"]


def test_the_events_of_a_batch_say_what_they_are(full_batch):
    batch, keys = full_batch
    assert [(event.kind, event.signal, event.sender, event.pk) for event in batch.events] == [
        ("created", post_save, Article, keys[0]),
        ("updated", post_save, Article, keys[1]),
        ("deleted", post_delete, Article, keys[2]),
    ]


def test_an_event_of_a_batch_has_what_was_sent(batches):
    received = batches(post_save, sender=Article)
    article = Article.objects.create()
    article.save(update_fields=["title"])
    drain()
    kwargs = received[1].events[0].kwargs
    assert {"created": False, "using": "default", "update_fields": {"title"}, "instance": article}.items() <= (
        kwargs.items()
    )


def test_the_instances_of_a_batch_are_loaded_when_the_worker_comes(batches):
    received = batches(post_save, sender=Article)
    Article.objects.create(title="old")
    Article.objects.update(title="new")
    drain()
    assert [one.title for one in received[0].instances] == ["new"]


def test_the_instances_of_a_batch_are_loaded_in_one_query(batches, django_assert_num_queries):
    received = []

    def look(batch):
        with django_assert_num_queries(0):
            received.append([one.name for one in batch.instances])

    connected = batches(post_save, sender=Ware, bulk=True)
    Ware.objects.bulk_create([Ware(name=str(number)) for number in range(20)])
    with CapturedTables() as tables:
        drain()
        (batch,) = connected
        look(batch)
    assert tables.count(Ware._meta.db_table) == 1
    assert received == [[str(number) for number in range(20)]]


class CapturedTables:
    """The tables that are read from in a block, once for each query."""

    def __enter__(self):
        from django.test.utils import CaptureQueriesContext

        self.queries = CaptureQueriesContext(connection)
        self.queries.__enter__()
        return self

    def __exit__(self, *error):
        self.queries.__exit__(*error)

    def count(self, table):
        return sum(query["sql"].startswith("SELECT") and table in query["sql"] for query in self.queries)


def test_instances_of_a_batch_that_are_gone_are_left_out(batches):
    received = batches(post_save, sender=Article)
    with transaction.atomic():
        first, second = make_article(), make_article()
    Article.objects.filter(pk=first.pk).delete()
    drain()
    assert [batch.pks for batch in received] == [[second.pk]]


@pytest.mark.parametrize("signal", [sent, m2m_changed], ids=["a signal of ones own", "m2m_changed"])
def test_sends_of_a_batch_whose_instances_are_gone_are_left_out(batches, signal):
    received = batches(signal)
    genre = Genre.objects.create()
    with transaction.atomic():
        first, second = Novel.objects.create(), Novel.objects.create()
        for novel in (first, second):
            signal.send(sender=Novel.genres.through, instance=novel, model=Genre, pk_set={genre.pk}, using="default")
    Novel.objects.filter(pk=first.pk).delete()
    drain()
    assert [batch.instances for batch in received] == [[second]]


def test_a_batch_of_which_nothing_is_left_is_discarded(batches):
    received = batches(post_save, sender=Article)
    make_article()
    Article.objects.all().delete()
    (outcome,) = drain()
    assert (type(outcome), received, Delivery.objects.get().state) == (Discarded, [], State.DISCARDED)


def test_a_batch_that_must_be_whole_is_attempted_again(batches):
    received = batches(post_save, Durable(batch=True, missing="retry", retry=AT_ONCE), sender=Article)
    with transaction.atomic():
        first, _ = make_article(), make_article()
    Article.objects.filter(pk=first.pk).delete()
    assert [type(outcome) for outcome in drain()] == [Again, Dead]
    assert received == []


def test_a_batch_that_must_be_whole_may_fail_at_once(batches):
    batches(post_save, Durable(batch=True, missing="fail"), sender=Article)
    with transaction.atomic():
        first, _ = make_article(), make_article()
    Article.objects.filter(pk=first.pk).delete()
    assert [type(outcome) for outcome in drain()] == [Dead]


@pytest.mark.parametrize("make", MAKERS)
def test_a_batch_has_rows_of_every_kind_of_key(batches, make):
    received = batches(post_save, sender={make_proxy: Reprint, make_child: Audiobook}.get(make))
    instance = make()
    drain()
    assert [(batch.instances, batch.pks) for batch in received] == [([instance], [instance.pk])]


@pytest.mark.parametrize("make", MAKERS)
def test_a_batch_has_rows_that_are_gone_of_every_kind_of_key(batches, make):
    instance = make()
    received = batches(post_delete, sender={make_proxy: Reprint, make_child: Audiobook}.get(make, type(instance)))
    key = instance.pk
    instance.delete()
    drain()
    assert [([one.pk for one in batch.deleted], batch.pks) for batch in received] == [([key], [key])]


def test_a_batch_of_a_database_is_loaded_from_it(batches):
    received = batches(post_save, sender=Article)
    article = Article.objects.using("other").create()
    drain(using="other")
    assert [[(one, one._state.db) for one in batch.instances] for batch in received] == [[(article, "other")]]


def test_a_receiver_of_a_batch_is_given_the_database(receive):
    received = []

    @receive(post_save, sender=Article, delivery=Durable(batch=True))
    def record(signal, sender, batch, using, **kwargs):
        received.append((signal, sender, using))

    Article.objects.using("other").create()
    drain(using="other")
    assert received == [(post_save, Article, "other")]


def test_a_batch_of_what_is_about_to_be_saved_has_keys(batches):
    received = batches(pre_save, sender=Article)
    article = Article.objects.create()
    drain()
    assert [(batch.pks, batch.created) for batch in received] == [([article.pk], [article])]


def test_a_signal_of_ones_own_has_batches(receive):
    received = []

    @receive(sent, delivery=Durable(batch=True))
    def record(sender, batch, **kwargs):
        received.append([event.kwargs["carrier"] for event in batch.events])

    with transaction.atomic():
        for carrier in ("post", "train"):
            sent.send(sender=Article, using="default", carrier=carrier)
    drain()
    assert received == [["post", "train"]]


def test_many_to_many_changes_have_batches(receive):
    received = []

    @receive(m2m_changed, sender=Novel.genres.through, delivery=Durable(batch=True))
    def record(sender, batch, **kwargs):
        received.append(([event.kwargs["action"] for event in batch.events], batch.instances))

    novel = Novel.objects.create()
    novel.genres.add(Genre.objects.create())
    drain()
    assert received == [(["pre_add", "post_add"], [novel])]


def test_a_batch_of_bulk_writes_has_their_changes(batches):
    first, second = Ware.objects.create(name="a", stock=1), Ware.objects.create(name="b", stock=2)
    received = batches(post_save, sender=Ware, bulk=True, when=changed("stock"))
    with transaction.atomic():
        Ware.objects.update(stock=F("stock") + 1)
    drain()
    assert sorted(received[0].changes("stock")) == [(first.pk, 1, 2), (second.pk, 2, 3)]


def test_a_batch_of_rows_that_a_query_has_deleted_has_their_fields(batches):
    received = batches(post_delete, sender=Ware, bulk=True)
    Ware.objects.create(name="a", stock=1)
    Ware.objects.all().delete()
    drain()
    assert [[(one.name, one.stock) for one in batch.deleted] for batch in received] == [[("a", 1)]]


def test_a_bulk_write_sends_a_batch_of_its_own(receive):
    received = []

    @receive(post_bulk_create, sender=Ware, delivery=Durable())
    def record(sender, batch, **kwargs):
        received.append([one.name for one in batch.created])

    Ware.objects.bulk_create([Ware(name="a"), Ware(name="b")])
    drain()
    assert received == [["a", "b"]]


@pytest.fixture
def updates(receive):
    """The batches of updates of wares, for a durable receiver."""
    received = []

    @receive(post_update, sender=Ware, delivery=Durable())
    def record(sender, batch, **kwargs):
        received.append(batch)

    return received


def test_an_update_sends_a_batch_with_its_rows(updates):
    ware = Ware.objects.create(name="a", stock=1)
    Ware.objects.update(stock=5)
    drain()
    assert [(batch.pks, [one.stock for one in batch.updated]) for batch in updates] == [([ware.pk], [5])]


def test_an_update_sends_a_batch_with_the_changes_that_others_watch(updates, listen):
    listen(post_save, sender=Ware, bulk=True, when=changed("stock"))
    ware = Ware.objects.create(name="a", stock=1)
    Ware.objects.update(stock=5)
    drain()
    assert [batch.changes("stock") for batch in updates] == [[(ware.pk, 1, 5)]]


def test_rows_that_were_there_already_are_not_in_the_batch_of_a_bulk_write(receive):
    received = []
    Ware.objects.create(name="a")

    @receive(post_bulk_create, sender=Ware, delivery=Durable())
    def record(sender, batch, **kwargs):
        received.append([one.name for one in batch.created])

    Ware.objects.bulk_create([Ware(name="a"), Ware(name="b")], ignore_conflicts=True)
    drain()
    assert received == [["b"]]


def test_a_deletion_sends_a_batch_with_the_keys(receive):
    received = []

    @receive(post_bulk_delete, sender=Ware, delivery=Durable())
    def record(sender, batch, **kwargs):
        received.append(batch.pks)

    ware = Ware.objects.create(name="a")
    key = ware.pk
    Ware.objects.all().delete()
    drain()
    assert received == [[key]]


@pytest.mark.parametrize("name", ["author", "author_id"])
def test_the_changes_of_a_foreign_key_have_the_name_of_its_field_whatever_name_is_watched(batches, name):
    received = batches(post_save, sender=Article, when=changed(name))
    ada, article = Writer.objects.create(), Article.objects.create()
    article.author = ada
    article.save()
    drain()
    ((event,),) = [batch.events for batch in received]
    assert event.changes == {"author": (None, ada.pk)}
    assert event.changes["author_id"] == event.changes["author"]
    assert received[0].changes("author_id") == received[0].changes("author") == [(article.pk, None, ada.pk)]
    assert (event.old("author_id"), event.new("author_id")) == (None, ada.pk)


@pytest.mark.parametrize("name", ["author", "author_id"])
def test_nor_is_it_another_one_in_a_call_of_one_row(receive, name):
    received = []

    @receive(post_save, sender=Article, when=changed(name), delivery=Durable())
    def record(changes, **kwargs):
        received.append((changes, changes["author_id"]))

    ada, article = Writer.objects.create(), Article.objects.create()
    article.author = ada
    article.save()
    drain()
    assert received == [({"author": (None, ada.pk)}, (None, ada.pk))]
