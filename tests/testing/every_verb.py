"""A test that uses every verb, for each kind of test case: it fails where one of them does not work."""

from typing import Any

from django.db import transaction
from django.db.models.signals import post_save

from heliograph import Durable, OnCommit, Signal, created, receiver
from heliograph.outbox import Succeeded
from heliograph.testing import Outbox, Signals, batch_of, isolated, max_queries, mute, only
from tests.app.models import Genre

renamed = Signal(name="shop.renamed")


def welcome(**kwargs: Any) -> None:
    """Be called after the commit."""


def index(instance: Any, **kwargs: Any) -> Any:
    """Be called by a worker."""
    return instance.pk


def count(batch: Any, **kwargs: Any) -> Any:
    """Be called with a batch."""
    return batch.pks


def connect() -> None:
    receiver(post_save, sender=Genre, when=created, delivery=OnCommit())(welcome)
    receiver(post_save, sender=Genre, delivery=Durable())(index)
    receiver(post_save, sender=Genre, delivery=OnCommit(batch=True))(count)


def create() -> Genre:
    with transaction.atomic():
        genre = Genre.objects.create()
        renamed.send(Genre, genre=genre)
    return genre


def use_every_verb(signals: Signals, outbox: Outbox) -> None:
    with isolated():
        connect()
        with max_queries(welcome, 0):
            genre = create()
        assert_what_was_sent(signals, genre)
        assert outbox.assert_enqueued(index, instance=genre).queue == "default"
        assert len(outbox.enqueued()) == 1
        assert outbox.drain() == [Succeeded(genre.pk)]
        outbox.assert_not_enqueued(index)
        signals.assert_called(index, instance=genre, times=1)
        assert outbox.perform(index, instance=genre) == genre.pk
        assert signals.deliver(count, batch=batch_of(genre)) == [genre.pk]
        with mute(index), only(count):
            create()
        signals.assert_called(welcome, times=1)
    signals.assert_not_called(welcome, genre=genre)


def assert_what_was_sent(signals: Signals, genre: Genre) -> None:
    signals.assert_sent(renamed, sender=Genre, genre=genre)
    signals.assert_not_sent(renamed, genre=None)
    signals.assert_sent_in_order(post_save, renamed)
    signals.assert_called(welcome, instance=genre)
    signals.assert_not_called(index)
    signals.assert_listening(post_save, index, sender=Genre, delivery=Durable())


async def use_every_verb_in_async_code(signals: Signals, outbox: Outbox) -> None:
    with isolated():
        connect()
        genre = await Genre.objects.acreate()
        signals.assert_called(welcome, instance=genre)
        await outbox.aassert_enqueued(index, instance=genre)
        assert len(await outbox.aenqueued()) == 1
        assert await outbox.adrain() == [Succeeded(genre.pk)]
        await outbox.aassert_not_enqueued(index)
        assert await outbox.aperform(index, instance=genre) == genre.pk
        assert await signals.adeliver(count, instance=genre) == [genre.pk]
        with only(count):
            await Genre.objects.acreate()
        signals.assert_called(welcome, times=1)
