"""Receivers with `atomic=False` in a test with a transaction: an error of the database does not end the test."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import post_save

from heliograph import Durable, Retry, fixed
from heliograph.outbox import Again, Dead, Succeeded
from heliograph.testing import redelivered
from tests.app.models import Genre, Ware

pytestmark = pytest.mark.django_db(databases="__all__")

twice = Durable(atomic=False, retry=Retry(attempts=2, backoff=fixed(60), jitter=0))


def add_twice(**kwargs):
    for _ in range(2):
        Ware.objects.create(name="tea")


def test_a_retry_is_recorded_after_an_error_of_the_database(outbox, connect):
    connect(post_save, add_twice, sender=Genre, delivery=twice)
    Genre.objects.create()

    [first] = outbox.drain(raising=False)
    [second] = outbox.drain(raising=False, until=timedelta(minutes=2))

    assert (type(first), type(second)) == (Again, Dead)
    assert Genre.objects.count() == 1


def test_an_error_that_the_receiver_catches_is_no_failure(outbox, receive):
    @receive(post_save, sender=Genre, delivery=twice)
    def try_twice(**kwargs):
        with suppress(IntegrityError):
            add_twice()
        return "tried"

    Genre.objects.create()
    assert outbox.drain() == [Succeeded("tried")]


def test_an_error_in_sql_is_none_of_the_test(outbox, receive):
    @receive(post_save, sender=Genre, delivery=twice)
    def ask(**kwargs):
        connection.cursor().execute("SELECT nothing FROM nowhere")

    Genre.objects.create()
    with pytest.raises(DatabaseError):
        outbox.drain(until=timedelta(minutes=2))
    assert Genre.objects.count() == 1


def test_what_was_written_before_another_error_stays_as_in_autocommit(outbox, receive):
    @receive(post_save, sender=Genre, delivery=twice)
    def add_and_fail(**kwargs):
        Ware.objects.get_or_create(name="tea")
        raise LookupError

    Genre.objects.create()
    with pytest.raises(LookupError):
        outbox.drain()
    assert Ware.objects.count() == 1


def test_a_block_of_its_own_may_be_durable(outbox, receive):
    @receive(post_save, sender=Genre, delivery=twice)
    def add(**kwargs):
        with transaction.atomic(durable=True):
            Ware.objects.create(name="tea")

    Genre.objects.create()
    outbox.drain()
    assert Ware.objects.count() == 1


def test_perform_raises_the_error_and_the_test_goes_on(outbox, connect):
    connect(post_save, add_twice, sender=Genre, delivery=twice)
    genre = Genre.objects.create()

    with pytest.raises(IntegrityError):
        outbox.perform(add_twice, instance=genre)
    assert Genre.objects.count() == 1


def test_redelivered_goes_on_too(connect):
    connect(post_save, add_twice, sender=Genre, delivery=twice)

    with pytest.raises(IntegrityError):
        redelivered(Genre.objects.create)
    assert Genre.objects.count() == 1
