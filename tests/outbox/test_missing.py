"""Deliveries whose row is gone when the worker comes."""

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from heliograph import Durable, Signal, changed, created
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Discarded, Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.signals import post_delete, post_save
from tests.app.models import Article, Audiobook, Seat

pytestmark = pytest.mark.django_db(databases=["default", "other"])

sent = Signal(name="sent")


def gone(**values):
    """Save an article, change its cover, and delete it before a worker comes."""
    article = Article.objects.create(**values)
    article.cover = "new.png"
    article.save()
    pk = article.pk
    Article.objects.filter(pk=pk)._raw_delete("default")
    return pk


def test_a_receiver_of_changes_is_called_although_its_row_is_gone(receive):
    received = []

    @receive(post_save, sender=Article, when=changed("cover"), delivery=Durable())
    def delete_the_old_file(sender, changes, **kwargs):
        received.append(changes["cover"].old)

    gone(cover="old.png")
    assert drain() == [Succeeded()]
    assert received == ["old.png"]


def test_an_instance_that_a_receiver_takes_out_of_its_kwargs_is_that_of_its_row(receive):
    received = []

    @receive(post_save, sender=Article, delivery=Durable())
    def record(sender, **kwargs):
        received.append((kwargs["instance"], kwargs["instance"].__class__))

    article = Article.objects.create()
    drain()
    assert received == [(article, Article)]


def test_an_async_receiver_can_use_an_instance_for_which_it_has_no_parameter(receive):
    titles = []

    @receive(post_save, sender=Article, delivery=Durable())
    async def record(sender, **kwargs):
        titles.append(kwargs["instance"].title)

    Article.objects.create(title="Moons")
    assert drain() == [Succeeded()]
    assert titles == ["Moons"]


def test_no_instance_is_loaded_that_no_parameter_asks_for(receive):
    called = []

    @receive(post_save, sender=Article, when=changed("cover"), delivery=Durable())
    def delete_the_old_file(sender, changes, **kwargs):
        called.append(changes["cover"].old)

    article = Article.objects.create(cover="old.png")
    article.cover = "new.png"
    article.save()
    with CaptureQueriesContext(connection) as queries:
        drain()
    assert called == ["old.png"]
    assert [query["sql"] for query in queries if "app_article" in query["sql"].lower()] == []


def test_an_instance_that_a_receiver_takes_out_of_its_kwargs_and_that_is_gone_discards_the_delivery(receive):
    @receive(post_save, sender=Article, when=created, delivery=Durable())
    def record(sender, **kwargs):
        raise AssertionError(kwargs["instance"].title)

    gone()
    (outcome,) = drain()
    assert outcome == Discarded(Delivery.objects.get().error)
    assert Delivery.objects.get().state == State.DISCARDED


def test_a_receiver_that_says_so_is_called_with_the_key_of_a_row_that_is_gone(receive):
    received = []

    @receive(post_save, sender=Article, when=created, delivery=Durable(missing="call"))
    def record(sender, instance, created, **kwargs):
        received.append((type(instance), instance.pk, created))
        with pytest.raises(ObjectDoesNotExist):
            instance.title  # noqa: B018

    pk = gone()
    assert drain() == [Succeeded()]
    assert received == [(Article, pk, True)]


def test_a_receiver_that_says_so_is_called_with_a_row_that_is_there(receive):
    received = []

    @receive(post_save, sender=Article, delivery=Durable(missing="call"))
    def record(sender, instance, **kwargs):
        received.append(instance.title)

    Article.objects.create(title="there")
    drain()
    assert received == ["there"]


@pytest.mark.parametrize(("model", "values"), [(Audiobook, {}), (Seat, {"row": 1, "number": 2})])
def test_a_receiver_is_called_with_keys_of_every_kind(receive, model, values):
    received = []

    @receive(post_save, delivery=Durable(missing="call"), sender=[Audiobook, Seat])
    def record(sender, instance, **kwargs):
        received.append(instance.pk)

    instance = model.objects.create(**values)
    model.objects.filter(pk=instance.pk)._raw_delete("default")
    assert drain() == [Succeeded()]
    assert received == [instance.pk]


def test_a_receiver_is_called_with_instances_inside_of_other_values(receive):
    received = []

    @receive(sent, delivery=Durable(missing="call"))
    def record(sender, articles, **kwargs):
        received.append([one.pk for one in articles])

    article = Article.objects.create()
    sent.send(sender=None, using="default", articles=[article])
    Article.objects.filter(pk=article.pk)._raw_delete("default")
    assert drain() == [Succeeded()]
    assert received == [[article.pk]]


def test_a_batch_has_rows_that_are_gone_where_its_receiver_says_so(receive):
    received = []

    @receive(post_save, sender=Article, when=created | changed("words"), delivery=Durable(batch=True, missing="call"))
    def record(sender, batch, **kwargs):
        received.append([(event.kind, event.pk, event.instance.pk) for event in batch.events])

    with transaction.atomic():
        first, second = Article.objects.create(), Article.objects.create()
    Article.objects.filter(pk=first.pk)._raw_delete("default")
    assert drain() == [Succeeded()]
    assert received == [[("created", first.pk, first.pk), ("created", second.pk, second.pk)]]


def test_a_deletion_has_its_values_as_ever(receive):
    received = []

    @receive(post_delete, sender=Article, delivery=Durable(missing="call"))
    def record(sender, instance, **kwargs):
        received.append(instance.title)

    Article.objects.create(title="gone").delete()
    drain()
    assert received == ["gone"]


def test_a_receiver_is_not_called_again_for_a_row_that_is_gone_and_that_it_saves_again(receive):
    received = []

    @receive(post_save, sender=Article, when=created, delivery=Durable())
    def save_again(sender, **kwargs):
        received.append("called")
        Article.objects.create(pk=pk)

    pk = gone()
    assert drain() == [Succeeded()]
    assert received == ["called"]


def test_another_word_for_rows_that_are_gone_is_refused():
    with pytest.raises(
        ValueError, match=r"missing=\.\.\.\) takes 'discard', 'retry', 'fail' or 'call', not 'ignore'\."
    ):
        Durable(missing="ignore")
