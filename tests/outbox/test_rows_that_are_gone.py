"""Rows that are gone when the worker comes: with the fields that they had, or with an outcome that says so."""

import datetime
from decimal import Decimal

import pytest
from django.db.models import F
from django.db.models.signals import post_delete, post_save, pre_delete
from django.utils import timezone

from heliograph import Durable
from heliograph.outbox.durable.retrying import Retry, fixed
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, Discarded, Succeeded
from heliograph.outbox.work.runner import drain
from tests.app.models import Account, Article, Audiobook, Country, Novel, Seat, Ware, Writer
from tests.helpers.attempts import sent
from tests.helpers.payloads import AT_ONCE, make_article

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# --- rows that are gone -------------------------------------------------------------------------------------------


def test_an_instance_that_was_deleted_has_the_fields_of_its_row(store):
    received = store(post_delete, sender=Article)
    author = Writer.objects.create()
    article = Article.objects.create(
        title="a",
        words=3,
        price=Decimal("1.50"),
        published=datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        labels=["a", {"b": 1}],
        author=author,
        cover="a.png",
    )
    article.refresh_from_db()
    wanted = {field.attname: getattr(article, field.attname) for field in Article._meta.concrete_fields}
    article.delete()
    drain()
    gone = received[0]["instance"]
    assert {name: getattr(gone, name) for name in wanted} == wanted


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_so_it_does_on_both_signals_of_a_deletion(store, signal):
    received = store(signal, sender=Country)
    Country.objects.create(code="de", name="Germany").delete()
    drain()
    gone = received[0]["instance"]
    assert (gone.pk, gone.name, gone._state.db, gone._state.adding) == ("de", "Germany", "default", False)


def test_a_child_that_was_deleted_has_the_fields_of_its_parent(store):
    received = store(post_delete, sender=Audiobook)
    Audiobook.objects.create(name="a", minutes=3).delete()
    drain()
    assert (received[0]["instance"].name, received[0]["instance"].minutes) == ("a", 3)


def test_a_row_of_a_composite_key_has_it_when_it_is_gone(store):
    received = store(post_delete, sender=Seat)
    Seat.objects.create(row=1, number=2).delete()
    drain()
    assert received[0]["instance"].pk == (1, 2)


def test_what_the_database_has_computed_is_there_too(store):
    received = store(post_delete, sender=Account)
    Account.objects.create(balance=4)
    Account.objects.get().delete()
    drain()
    assert (received[0]["instance"].limit, received[0]["instance"].twice) == (100, 8)


def test_a_field_that_was_not_loaded_is_not_stored(store):
    Article.objects.create(title="the title", words=1)
    received = store(post_delete, sender=Article)
    Article.objects.only("words").get().delete()
    drain()
    assert "title" in received[0]["instance"].get_deferred_fields()


def test_a_value_that_the_database_was_to_compute_is_not_stored(store):
    received = store(post_delete, sender=Article)
    article = Article.objects.create(words=1)
    article.words = F("words") + 1
    article.delete()
    drain()
    assert received[0]["instance"].get_deferred_fields() == {"words"}


def test_rows_that_a_query_has_deleted_have_their_fields(store):
    received = store(post_delete, sender=Ware)
    Ware.objects.bulk_create([Ware(name="a", stock=1), Ware(name="b", stock=2)])
    Ware.objects.all().delete()
    drain()
    assert sorted((one["instance"].name, one["instance"].stock) for one in received) == [("a", 1), ("b", 2)]


def test_rows_that_went_with_their_parent_have_their_fields(store):
    received = store(post_delete, sender=Novel)
    writer = Writer.objects.create()
    Novel.objects.create(name="a", writer=writer)
    key = writer.pk
    writer.delete()
    drain()
    assert (received[0]["instance"].name, received[0]["instance"].writer_id) == ("a", key)


def test_the_origin_of_a_deletion_is_left_out(store):
    received = store(post_delete, sender=Article)
    make_article()
    Article.objects.all().delete()
    drain()
    assert "origin" not in received[0]


# --- instances that are gone --------------------------------------------------------------------------------------


@pytest.fixture
def orphan(receive):
    """Connect a receiver, and save and delete what it handles: return the key, and what it is called with."""

    def connect(policy):
        received = []

        @receive(post_save, sender=Article, delivery=policy)
        def record(sender, instance, **kwargs):
            received.append(instance)

        key = make_article().pk
        Article.objects.all().delete()
        return key, received

    return connect


def test_a_delivery_whose_instance_is_gone_is_discarded(orphan):
    _, received = orphan(Durable())
    (outcome,) = drain()
    row = Delivery.objects.get()
    assert (row.state, received, outcome) == (State.DISCARDED, [], Discarded(row.error))


def test_the_reason_names_the_model_and_the_key(orphan):
    key, _ = orphan(Durable())
    drain()
    error = Delivery.objects.get().error
    assert ("Article" in error, str(key) in error) == (True, True)


def test_it_is_attempted_again_where_the_receiver_says_so(orphan):
    key, received = orphan(Durable(missing="retry", retry=AT_ONCE))
    again, dead = drain()
    assert (type(again), type(dead), received) == (Again, Dead, [])
    assert str(key) in str(dead.error)


def test_it_succeeds_when_the_row_is_back(orphan):
    key, received = orphan(Durable(missing="retry", retry=Retry(attempts=2, backoff=fixed(1000))))
    drain()
    Article.objects.create(pk=key)
    Delivery.objects.filter(state=State.READY).update(due_at=timezone.now() - datetime.timedelta(seconds=5))
    first, *_ = drain()
    assert (first, [one.pk for one in received][:1]) == (Succeeded(), [key])


def test_it_is_dead_at_once_where_the_receiver_says_so(orphan):
    key, received = orphan(Durable(missing="fail"))
    assert ([type(outcome) for outcome in drain()], received) == ([Dead], [])
    row = Delivery.objects.get()
    assert (row.state, row.attempts, str(key) in row.error) == (State.DEAD, 1, True)


@pytest.mark.parametrize("wrap", [list, dict], ids=["list", "dict"])
def test_so_it_is_for_an_instance_inside_of_another_value(store, wrap):
    received = store(sent)
    article = make_article()
    value = [article] if wrap is list else {"article": article}
    sent.send(sender=None, using="default", value=value)
    Article.objects.all().delete()
    assert ([type(outcome) for outcome in drain()], received) == ([Discarded], [])


def test_what_a_receiver_cannot_find_itself_is_its_own_failure(receive):
    @receive(sent, delivery=Durable(retry=Retry(attempts=1)))
    def look(sender, **kwargs):
        Article.objects.get(pk=0)

    sent.send(sender=None, using="default")
    assert [type(outcome) for outcome in drain()] == [Dead]
