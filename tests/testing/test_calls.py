"""Who was called, and why a receiver was not."""

import pytest
from django.db import transaction
from django.db.models.signals import post_save

from heliograph import Durable, OnCommit, Retry, Signal, changed, created, fixed
from heliograph.testing import mute
from tests.app.models import Genre, Writer
from tests.helpers.errors import MishapError
from tests.testing.failures import failure

pytestmark = pytest.mark.django_db

shipped = Signal(name="shop.shipped")


def thank(carrier="DHL", **kwargs):
    return f"thanks, {carrier}"


def index(instance, **kwargs):
    """Be called for an instance."""


def break_down(**kwargs):
    raise MishapError("no way")


def lines(text):
    return [line.replace(f"{__name__}.", "") for line in text.splitlines()]


# --- calls ------------------------------------------------------------------------------------------------------


def test_a_call_is_returned(signals, connect):
    connect(shipped, thank)
    shipped.send(Writer, carrier="DHL")

    assert signals.assert_called(thank, sender=Writer, carrier="DHL").outcome == "thanks, DHL"


def test_a_call_that_raised_was_made(signals, connect):
    connect(shipped, break_down)
    shipped.send_robust(Writer)

    assert str(signals.assert_called(break_down, times=1).outcome) == "no way"


def test_a_call_after_the_commit_has_what_was_sent(signals, connect):
    connect(post_save, index, sender=Genre, delivery=OnCommit())
    genre = Genre.objects.create()

    signals.assert_called(index, instance=genre, created=True)


def test_a_call_that_a_worker_makes_has_what_it_has_read(signals, outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    genre = Genre.objects.create()
    outbox.drain()

    signals.assert_called(index, instance=genre, created=True)


async def test_an_async_receiver_was_called(signals, connect):
    async def thank_later(**kwargs):
        """Be called."""

    connect(shipped, thank_later)
    await shipped.asend(Writer, carrier="DHL")

    signals.assert_called(thank_later, carrier="DHL")


def test_calls_for_other_values_are_listed(signals, connect):
    connect(shipped, thank)
    shipped.send(Writer, carrier="UPS")

    assert lines(failure(signals.assert_called, thank, carrier="DHL")) == [
        "thank was not called with carrier='DHL'.",
        "It was called, the nearest first:",
        "  for shop.shipped from app.Writer: carrier='UPS' (carrier is 'UPS')",
    ]


def test_the_number_of_calls_is_compared(signals, connect):
    connect(shipped, thank)
    shipped.send(Writer)

    assert lines(failure(signals.assert_called, thank, times=2))[0] == "thank was called once, not 2 times."


def test_calls_that_were_not_to_be_are_listed(signals, connect):
    connect(shipped, thank)
    shipped.send(Writer, carrier="UPS")

    signals.assert_not_called(thank, carrier="DHL")
    assert lines(failure(signals.assert_not_called, thank)) == [
        "thank was called once:",
        "  for shop.shipped from app.Writer: carrier='UPS'",
    ]


# --- why not ----------------------------------------------------------------------------------------------------


def test_k1_a_condition_that_did_not_hold_is_named_with_its_values(signals, connect):
    connect(post_save, index, sender=Genre, when=~created)
    Genre.objects.create()

    assert lines(failure(signals.assert_called, index)) == [
        "index was not called.",
        "It was not called:",
        "  for post_save from app.Genre: when=~created: created is True",
    ]


def test_a_change_that_was_awaited_of_a_new_row_is_said_to_be_of_one(signals, connect):
    connect(post_save, index, sender=Genre, when=changed("name"))
    Genre.objects.create()

    assert lines(failure(signals.assert_called, index))[-1] == (
        "  for post_save from app.Genre: when=changed('name'): changed('name') is False: the row is new"
    )


def test_k1_the_line_that_has_muted_a_receiver_is_named(signals, connect):
    connect(post_save, index, sender=Genre)
    with mute(index):
        Genre.objects.create()

    assert lines(failure(signals.assert_called, index))[-1].startswith(
        f"  for post_save from app.Genre: muted by mute(index), which {__file__}:"
    )


def test_a_call_that_waits_for_the_commit_is_named(signals, connect):
    connect(post_save, index, sender=Genre, delivery=OnCommit())
    with transaction.atomic():
        Genre.objects.create()

        assert lines(failure(signals.assert_called, index))[2:] == [
            "  for post_save from app.Genre: put off by OnCommit(): its transaction has not ended that way"
        ]


@pytest.mark.parametrize("policy", [OnCommit, Durable])
def test_sends_whose_batch_was_delivered_wait_no_more(signals, outbox, receive, policy):
    @receive(post_save, sender=Genre, delivery=policy(batch=True))
    def count(batch, **kwargs):
        """Be called with two rows."""

    with transaction.atomic():
        Genre.objects.create()
        Genre.objects.create()
    outbox.drain()

    assert "It was not called" not in failure(signals.assert_called, count, times=2)


def test_a_call_that_waits_for_a_worker_is_named(signals, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    Genre.objects.create()

    assert lines(failure(signals.assert_called, index))[2:] == [
        "  for post_save from app.Genre: stored by Durable(), unless its transaction is rolled back;"
        " drain() makes the call"
    ]


def test_a_call_that_a_worker_has_made_waits_no_more(signals, outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    Genre.objects.create()
    outbox.drain()

    assert "stored by" not in failure(signals.assert_called, index, created=False)


def test_an_attempt_that_has_failed_is_named(signals, outbox, connect):
    connect(post_save, break_down, sender=Genre, delivery=Durable(retry=Retry(attempts=2, backoff=fixed(9))))
    Genre.objects.create()
    outbox.drain(raising=False)

    last = lines(failure(signals.assert_called, break_down, created=False))[-1]
    assert last.startswith("  attempt 1 of delivery ")
    assert last.endswith(" has failed: MishapError('no way')")


def test_a_delivery_without_a_call_is_named(signals, outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    Genre.objects.create()
    Genre.objects.all().delete()
    outbox.drain()

    assert lines(failure(signals.assert_called, index))[-1].endswith(" was discarded: its error in the table says why")


def test_a_signal_that_was_not_sent_is_named(signals, connect):
    connect(post_save, index, sender=Genre)
    connect(shipped, index)
    Writer.objects.create()

    assert lines(failure(signals.assert_called, index)) == [
        "index was not called.",
        "It was not called:",
        "  post_save was not sent from app.Genre",
        "  shop.shipped was not sent",
    ]


def test_a_receiver_that_is_connected_to_nothing_is_said_to_be(signals):
    assert lines(failure(signals.assert_called, index))[-1] == "  it is connected to no signal"
