"""Bulk writes under attack: what projects do to querysets, keys and transactions, and what was found that way."""

import threading
import uuid

import pytest
from django.db import OperationalError, connection, connections, models, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save, pre_delete
from django.test.utils import CaptureQueriesContext

from heliograph import BeforeCommit, OnCommit, changed, created, mute
from heliograph.signals import (
    post_bulk_create,
    post_bulk_delete,
    post_bulk_update,
    post_update,
    pre_bulk_create,
    pre_update,
)
from tests.app.models import Account, Article, Audiobook, Country, Novel, Review, Seat, Ticket, Writer

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def articles(count=3):
    return Article.objects.bulk_create([Article(words=number) for number in range(count)])


@pytest.fixture
def batches(receive):
    """Collect what a receiver makes of its batches."""

    def connect(signal, look, **options):
        received = []

        @receive(signal, **options)
        def record(sender, batch, **kwargs):
            received.append(look(batch))

        return received

    return connect


# --- locks of others' kind ----------------------------------------------------------------------------------------


PATIENCE = {
    "postgresql": "SET lock_timeout = '50ms'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no locks of rows")
def test_an_update_that_would_skip_locked_rows_waits_as_ever(listen):
    listen(post_update, sender=Article)
    (article,) = articles(1)
    locked, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Article.objects.select_for_update().get(pk=article.pk)
            locked.set()
            done.wait()
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait()
    try:
        with connection.cursor() as cursor:
            cursor.execute(PATIENCE[connection.vendor])
        with pytest.raises(OperationalError), transaction.atomic():  # it has waited, and not skipped the row
            Article.objects.select_for_update(skip_locked=True).update(words=9)
    finally:
        done.set()
        holder.join()
        connection.close()


def test_a_lock_of_a_relation_is_none_of_an_update(listen):
    received = listen(post_update, sender=Review)
    Review.objects.create(novel=Novel.objects.create(name="a"))
    with transaction.atomic():
        rows = Review.objects.select_related("novel").select_for_update(of=("self", "novel"))
        assert rows.update(novel=None) == 1
    assert len(received) == 1


def test_rows_are_locked_in_the_order_of_their_keys(listen):
    listen(post_bulk_update, sender=Article)
    made = articles(2)
    with CaptureQueriesContext(connection) as queries:
        Article.objects.bulk_update(made, ["words"])
    (read, *_) = [query["sql"] for query in queries.captured_queries if "SELECT" in query["sql"]]
    assert "ORDER BY" in read


# --- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_of_two_columns_may_be_given_as_texts(batches):
    received = batches(post_bulk_update, lambda batch: batch.pks, sender=Seat)
    Seat.objects.create(row=1, number=2)
    Seat.objects.bulk_update([Seat(row="1", number="2", guest="Ada")], ["guest"])
    assert received == [[(1, 2)]]


def test_a_key_may_be_one_to_the_database_and_two_to_python(batches):
    Country.objects.create(code="fr")
    if not Country.objects.filter(code="FR").exists():
        return  # the collation of this database distinguishes them, and nothing is written
    received = batches(post_bulk_update, lambda batch: (batch.pks, batch.instances[0].name), sender=Country)
    Country.objects.bulk_update([Country(code="FR", name="France")], ["name"])
    assert received == [(["fr"], "France")]


def test_a_row_whose_key_was_given_as_a_text_is_one_row(batches):
    received = batches(
        [post_save, post_delete],
        lambda batch: [event.kind for event in batch.events],
        sender=Ticket,
        bulk=True,
        delivery=BeforeCommit(batch=True),
    )
    with transaction.atomic():
        Ticket.objects.create(id=str(uuid.uuid4()))
        Ticket.objects.update(state="old")
    with transaction.atomic():
        Ticket.objects.bulk_create([Ticket(id=str(uuid.uuid4()), state="gone")])
        Ticket.objects.filter(state="gone").delete()
    assert received == [["created"]]


def test_an_instance_with_its_key_as_a_text_is_deleted_once(listen):
    one_by_one, many = listen(post_delete, sender=Article, bulk=True), listen(post_bulk_delete, sender=Article)
    (article,) = articles(1)
    Article(pk=str(article.pk)).delete()
    assert (len(one_by_one), many) == (1, [])


def test_a_receiver_that_writes_its_row_again_is_not_called_again_where_its_key_was_a_text(receive):
    received = []

    @receive(post_save, sender=Ticket, bulk=True, delivery=BeforeCommit(batch=True))
    def count(sender, batch, **kwargs):
        received.append(batch.pks)
        Ticket.objects.update(state="seen")

    Ticket.objects.create(id=str(uuid.uuid4()))
    assert len(received) == 1


# --- instances ----------------------------------------------------------------------------------------------------


def test_the_list_that_the_caller_gets_is_the_callers(batches):
    received = batches(
        post_save,
        lambda batch: [(event.pk, event.instance.words) for event in batch.events],
        sender=Article,
        bulk=True,
        delivery=OnCommit(batch=True),
    )
    with transaction.atomic():
        made = articles(2)
        expected = [(one.pk, one.words) for one in made]
        made.reverse()
        made.append(None)
    assert received == [expected]


def test_a_created_instance_has_the_key_that_it_had(batches):
    received = batches(
        post_save,
        lambda batch: [one.pk for one in batch.created],
        sender=Article,
        bulk=True,
        delivery=OnCommit(batch=True),
    )
    with transaction.atomic():
        (article,) = articles(1)
        key, article.pk = article.pk, None
    assert received == [[key]]


def test_an_instance_that_is_false_is_an_instance(batches, monkeypatch):
    received = batches(post_update, lambda batch: batch.instances[0].get_deferred_fields(), sender=Article)
    articles(1)
    monkeypatch.setattr(Article, "__bool__", lambda self: False, raising=False)
    Article.objects.update(words=7)
    assert received == [set()]


def test_a_receiver_that_is_not_due_makes_no_instances(listen):
    received = listen(post_save, sender=Article, bulk=True, when=created)
    articles()
    received.clear()
    with CaptureQueriesContext(connection) as queries:
        Article.objects.update(words=7)
    assert received == []
    assert not [one for one in queries.captured_queries if "cover" in one["sql"]]


def test_an_event_is_itself(batches):
    received = batches(
        post_update, lambda batch: (batch.events[0] is batch.events[0], batch.events[-1] in batch.events)
    )
    articles()
    Article.objects.update(words=7)
    assert received == [(True, True)]


# --- batches of several connections -------------------------------------------------------------------------------


@pytest.fixture
def both(receive):
    """Connect one function to two signals, of which one has a condition."""
    received = []

    def record(sender, batch, **kwargs):
        delivered = [(event.kind, event.signal, event.kwargs.get("origin")) for event in batch.events]
        received.append((delivered, batch.changes("words")))

    options = {"sender": Article, "bulk": True, "delivery": OnCommit(batch=True)}
    receive(post_delete, **options)(record)
    receive(post_save, when=created | changed("words"), **options)(record)
    return received


def test_each_write_of_a_batch_is_delivered_as_its_receiver_was_connected(both):
    with mute():
        keys = [one.pk for one in articles(2)]
    rows = Article.objects.filter(pk=keys[0])
    with transaction.atomic():
        rows.delete()
        Article.objects.update(words=9)
    ((delivered, changes),) = both
    assert [(kind, signal) for kind, signal, _ in delivered] == [("deleted", post_delete), ("updated", post_save)]
    assert delivered[0][2] is rows
    assert changes == [(keys[1], 1, 9)]


def test_what_is_gone_is_not_changed(both):
    with mute():
        (article,) = articles(1)
    with transaction.atomic():
        Article.objects.update(words=9)
        Article.objects.all().delete()
    assert [(delivered[0][0], changes) for delivered, changes in both] == [("deleted", [])]
    assert article.words == 0


# --- writes within writes -----------------------------------------------------------------------------------------


class Spreading(models.QuerySet):
    """A queryset whose update() has a side effect, as that of soft deletion or of caches."""

    def update(self, **kwargs):
        Writer.objects.update(name="stale")
        return super().update(**kwargs)


def test_an_update_of_another_model_within_a_bulk_update_is_received(listen):
    Writer.objects.create(name="a")
    made = articles(1)
    received = listen(post_update, sender=Writer)
    listen(post_bulk_update, sender=Article)
    made[0].words = 7
    Spreading(Article).bulk_update(made, ["words"])
    assert len(received) == 1


def test_a_muted_deletion_within_one_that_is_received_is_not_sent(receive, listen):
    received = listen(post_bulk_delete, sender=Article)
    first, second = articles(2)

    @receive(pre_delete, sender=Article)
    def take_along(sender, instance, **kwargs):
        with mute():
            Article.objects.filter(pk=second.pk).delete()

    Article.objects.filter(pk=first.pk).delete()
    assert [one.payload["batch"].pks for one in received] == [[first.pk]]


def test_generated_values_of_a_bulk_update_are_sent_too(receive):
    received = []

    @receive(post_save, sender=Account, bulk=True, when=changed("twice"))
    def record(sender, changes, **kwargs):
        received.append(changes)

    account = Account.objects.create(balance=2)
    account.balance = 3
    Account.objects.bulk_update([account], ["balance"])
    assert received == [{"twice": (4, 6)}]


# --- what Django refuses ------------------------------------------------------------------------------------------

REFUSED = {
    "an object that is not stored": (lambda: Article.objects.bulk_create([Article(author=Writer())]), ValueError),
    "an update by one": (lambda: Article.objects.bulk_update(changed_articles(), ["author"]), ValueError),
    "a child": (lambda: Audiobook.objects.bulk_create([Audiobook(name="a")]), ValueError),
    "a field that is not there": (lambda: Article.objects.update(nope=1), Exception),
}


def changed_articles():
    (article,) = Article.objects.all()[:1]
    article.author = Writer()
    return [article]


@pytest.mark.parametrize(("write", "error"), REFUSED.values(), ids=REFUSED)
def test_a_transaction_goes_on_after_what_django_refuses(listen, write, error):
    articles(1)
    for signal in (pre_bulk_create, post_bulk_create, post_bulk_update, pre_update, post_update):
        listen(signal)
    with transaction.atomic():
        with pytest.raises(error):
            write()
        assert Article.objects.update(words=F("words") + 1) == 1


def test_what_a_receiver_raises_after_the_write_spoils_the_transaction(connect):
    class MishapError(Exception):
        pass

    def refuse(sender, **kwargs):
        raise MishapError

    articles(1)
    connect(post_update, refuse, sender=Article)
    with transaction.atomic():
        with pytest.raises(MishapError):
            Article.objects.update(words=9)
        with pytest.raises(transaction.TransactionManagementError):
            Article.objects.count()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL shows insertions by a system column")
def test_a_table_that_is_partitioned_is_written_in_bulk(listen):
    received = listen(post_bulk_create)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE app_parted (id bigint PRIMARY KEY, words int NOT NULL) PARTITION BY RANGE (id);"
            "CREATE TABLE app_parted_all PARTITION OF app_parted DEFAULT"
        )
    meta = type("Meta", (), {"app_label": "app", "db_table": "app_parted", "managed": False})
    fields = {"id": models.BigIntegerField(primary_key=True), "words": models.IntegerField()}
    parted = type("Parted", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})
    try:
        options = {"update_conflicts": True, "unique_fields": ["id"], "update_fields": ["words"]}
        parted.objects.bulk_create([parted(id=1, words=1)], **options)
        parted.objects.bulk_create([parted(id=1, words=2), parted(id=2, words=2)], **options)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE app_parted")
        del parted._meta.apps.all_models["app"]["parted"]
        parted._meta.apps.clear_cache()
    kinds = [[event.kind for event in one.payload["batch"].events] for one in received]
    assert [sorted(of_write) for of_write in kinds] == [["created"], ["created", "updated"]]
