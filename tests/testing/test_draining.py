"""Deliveries are made as time passes for the outbox, and what their receivers raise is raised."""

from datetime import timedelta

import pytest

from heliograph import Durable, Retry, RetryAfter, Snooze, fixed
from heliograph.outbox import Again, Dead, Snoozed, Succeeded
from heliograph.outbox.models import State
from tests.helpers.attempts import fail_before, sent, types
from tests.helpers.deliveries import row, states
from tests.helpers.errors import MishapError

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def fail(number=0, **kwargs):
    raise MishapError(f"no way {number}")


def give(number, **kwargs):
    return number


def send(*numbers):
    for number in numbers:
        sent.send(sender=None, using="default", number=number)


def retrying(attempts, seconds):
    return Durable(retry=Retry(attempts=attempts, backoff=fixed(seconds), jitter=0))


# --- errors -----------------------------------------------------------------------------------------------------


def test_what_is_due_is_made(outbox, connect):
    connect(sent, give, delivery=Durable())
    send(1, 2)

    assert outbox.drain() == [Succeeded(1), Succeeded(2)]


def test_the_error_of_a_receiver_is_raised(outbox, connect):
    connect(sent, fail, delivery=Durable())
    send(1)

    with pytest.raises(MishapError, match="no way 1"):
        outbox.drain()
    assert row().state == State.READY


def test_several_errors_are_raised_together_when_all_is_made(outbox, connect):
    connect(sent, fail, delivery=Durable())
    connect(sent, give, delivery=Durable())
    send(1, 2)

    with pytest.raises(ExceptionGroup, match="2 deliveries have failed") as caught:
        outbox.drain()
    assert list(map(str, caught.value.exceptions)) == ["no way 1", "no way 2"]
    assert states().count(State.SUCCESSFUL) == 2


def test_errors_may_be_outcomes(outbox, connect):
    connect(sent, fail, delivery=retrying(1, 0))
    send(1)

    assert types(outbox.drain(raising=False)) == [Dead]


def test_only_some_queues_are_made(outbox, connect):
    connect(sent, give, delivery=Durable(queue="mail"))
    send(1)

    assert outbox.drain(queues=["search"], until=HOUR) == []
    assert outbox.drain(queues=["mail"]) == [Succeeded(1)]


# --- time -------------------------------------------------------------------------------------------------------


def test_a_retry_that_is_due_later_waits(outbox, connect):
    connect(sent, fail, delivery=retrying(2, 60))
    send(1)

    assert types(outbox.drain(raising=False)) == [Again]
    assert outbox.drain() == []


def test_k3_retries_are_made_as_time_passes(outbox, connect):
    connect(sent, fail_before(3), delivery=retrying(5, 600))
    send(1)

    assert types(outbox.drain(until=HOUR)) == [Again, Again, Succeeded]


def test_k3_a_retry_is_made_at_the_very_end(outbox, connect):
    connect(sent, fail_before(2), delivery=retrying(5, 600))
    send(1)

    assert types(outbox.drain(until=timedelta(seconds=600))) == [Again, Succeeded]


def test_k3_a_delivery_that_fails_until_the_end_raises_its_last_error(outbox, connect):
    connect(sent, fail, delivery=retrying(2, 600))
    send(1)

    with pytest.raises(MishapError):
        outbox.drain(until=HOUR)
    assert row().state == State.DEAD


def test_k3_time_passes_no_further_than_asked(outbox, connect):
    connect(sent, fail, delivery=retrying(5, 1000))
    send(1)

    assert types(outbox.drain(until=timedelta(seconds=2100), raising=False)) == [Again, Again, Again]
    assert types(outbox.drain(until=timedelta(seconds=999), raising=False)) == []
    assert types(outbox.drain(until=timedelta(seconds=1001), raising=False)) == [Again]


def test_k3_later_deliveries_are_made_in_the_order_in_which_they_are_due(outbox, receive):
    made = []

    @receive(sent, delivery=Durable(retry=Retry(attempts=9)))
    def act(number, delivery, **kwargs):
        made.append((number, delivery.attempt))
        if delivery.attempt < 3:
            raise RetryAfter(number)

    send(300, 900)
    outbox.drain(until=HOUR)

    # The first attempts are at 0 s; the others at 300 and 600 s, and at 900 and 1800 s.
    assert made == [(300, 1), (900, 1), (300, 2), (300, 3), (900, 2), (900, 3)]


def test_k3_a_receiver_that_snoozes_is_called_when_it_asks(outbox, receive):
    calls = []

    @receive(sent, delivery=Durable())
    def act(**kwargs):
        calls.append(1)
        return Snooze(1200) if len(calls) < 3 else None

    send(1)

    assert types(outbox.drain(until=HOUR)) == [Snoozed, Snoozed, Succeeded]


def test_k3_calls_with_one_key_stay_in_their_order(outbox, receive):
    made = []

    @receive(sent, delivery=Durable(key="number", retry=Retry(attempts=5, backoff=fixed(600))))
    def act(colour, delivery, **kwargs):
        if colour == "red" and delivery.attempt < 2:
            raise MishapError("no way")
        made.append(colour)

    for colour in ("red", "blue"):
        sent.send(sender=None, using="default", number=1, colour=colour)
    outbox.drain(until=HOUR)

    assert made == ["red", "blue"]


def test_what_receivers_send_meanwhile_is_made_too(outbox, receive):
    @receive(sent, delivery=Durable())
    def act(number, **kwargs):
        if number < 3:
            send(number + 1)

    send(1)
    assert len(outbox.drain()) == 3
