"""How long a delivery may run: when that is reported, and when an async receiver is cancelled."""

import asyncio
import logging
import threading
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async

from heliograph import Durable, Retry, Signal, fixed, observe
from heliograph.outbox.events import DeliveryEvent
from heliograph.outbox.models import State
from heliograph.outbox.outcomes import Again, Dead, Succeeded
from heliograph.outbox.work.limits import GaveUpError
from heliograph.outbox.work.runner import drain, run_one
from heliograph.outbox.worker import Worker
from tests.app.models import Genre
from tests.helpers.deliveries import row

pytestmark = pytest.mark.django_db(transaction=True)

sent = Signal(name="shop.slow")

# How long anything may take, in seconds, on a machine that does much else; and what is over before one can look.
LONG = 60
SHORT = 0.01


def send():
    sent.send(sender=None, using="default")


def run_in_a_worker():
    Worker().run(drain=True)


def run_by_its_id():
    run_one(row().pk)  # as workers of Celery and of Django's tasks do


each_run = pytest.mark.parametrize("run", [run_in_a_worker, drain, run_by_its_id])


# --- warn_after ---------------------------------------------------------------------------------------------------


@pytest.fixture
def reported():
    """What is set when the log says that a delivery is slow, and the events of deliveries."""
    is_slow, events = threading.Event(), []

    def record(event):
        events.append(event)
        if event.name == "delivery_slow":
            is_slow.set()

    with observe(record, DeliveryEvent):
        yield is_slow, events


@pytest.fixture
def slow(receive, reported):
    """Connect a durable receiver that runs until somebody is is_slow that it is slow; the list has the events."""
    is_slow, events = reported

    def connect(**options):
        @receive(sent, delivery=Durable(**options))
        def wait_until_set(sender, **payload):
            assert is_slow.wait(LONG)

        return events

    return connect


@each_run
@pytest.mark.parametrize("limit", [SHORT, timedelta(seconds=SHORT)])
def test_a5_a_delivery_that_takes_longer_is_reported_while_it_runs(slow, run, limit):
    events = slow(warn_after=limit)
    send()
    run()
    assert [event.name for event in events] == ["delivery_started", "delivery_slow", "delivery_finished"]
    assert {event.id for event in events} == {row().pk}
    assert SHORT <= events[1].seconds <= events[2].seconds


def test_an_async_receiver_that_takes_longer_is_reported_too(receive, reported):
    is_slow, events = reported

    @receive(sent, delivery=Durable(warn_after=SHORT))
    async def wait_until_set(sender, **payload):
        assert await asyncio.to_thread(is_slow.wait, LONG)

    send()
    drain()
    assert [event.name for event in events] == ["delivery_started", "delivery_slow", "delivery_finished"]


def test_the_log_says_where_it_is(slow, caplog):
    caplog.set_level(logging.WARNING, logger="heliograph.outbox")
    slow(warn_after=SHORT)
    send()
    drain()
    (record,) = caplog.records
    text = f"Delivery {row().pk} of {row().receiver} is slow (attempt 1): it has been running for "
    assert record.getMessage().startswith(text)
    assert "in wait_until_set\n    assert is_slow.wait(LONG)" in record.getMessage()


def test_one_that_is_quick_is_not_reported(receive, reported):
    @receive(sent, delivery=Durable(warn_after=LONG))
    def record(sender, **payload): ...

    send()
    drain()
    assert [event.name for event in reported[1]] == ["delivery_started", "delivery_finished"]
    for timer in [one for one in threading.enumerate() if isinstance(one, threading.Timer)]:
        timer.join(LONG / 2)
        assert not timer.is_alive(), "no thread waits for a delivery that has ended"


# --- give_up_after ------------------------------------------------------------------------------------------------


@pytest.fixture
def endless(receive):
    """Connect an async durable receiver that writes, and waits for what never comes; the list says how it ends."""
    ends = []

    def connect(**options):
        @receive(sent, delivery=Durable(**options))
        async def write_and_wait(sender, **payload):
            await Genre.objects.acreate()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        return ends

    return connect


@each_run
def test_a6_an_async_receiver_that_takes_longer_is_cancelled_and_has_failed(endless, run):
    ends = endless(give_up_after=timedelta(seconds=2), retry=Retry(attempts=1))
    send()
    run()
    assert ends == ["cancelled"]
    assert (row().state, Genre.objects.count()) == (State.DEAD, 0)
    limit = "datetime.timedelta(seconds=2)"
    assert row().error == f"GaveUpError: It took longer than give_up_after={limit}, and was cancelled"
    assert "await asyncio.Event().wait()" in row().traceback


def test_it_is_attempted_again_as_after_other_errors(endless):
    endless(give_up_after=SHORT, retry=Retry(attempts=2, backoff=fixed(0)))
    send()
    outcomes = drain()
    assert [(type(one), type(one.error)) for one in outcomes] == [(Again, GaveUpError), (Dead, GaveUpError)]


def test_what_it_lets_a_thread_do_is_done_before_it_ends_and_undone(receive):
    """Nothing stops a thread, and this one uses the connection of the delivery."""
    was_cancelled, written = threading.Event(), []

    def write():
        assert was_cancelled.wait(LONG)
        written.append(Genre.objects.create())

    @receive(sent, delivery=Durable(give_up_after=2, retry=Retry(attempts=1)))
    async def write_in_a_thread(sender, **payload):
        try:
            await sync_to_async(write)()
        finally:
            was_cancelled.set()

    send()
    assert [type(one.error) for one in drain()] == [GaveUpError]
    assert (len(written), Genre.objects.count()) == (1, 0)


def test_a_timeout_of_its_own_is_an_error_as_others(receive):
    @receive(sent, delivery=Durable(give_up_after=LONG, retry=Retry(attempts=1)))
    async def time_out(sender, **payload):
        async with asyncio.timeout(SHORT):
            await asyncio.Event().wait()

    send()
    assert [type(one.error) for one in drain()] == [TimeoutError]


async def test_it_is_cancelled_in_the_loop_of_who_drains(endless, async_database):
    endless(give_up_after=SHORT, retry=Retry(attempts=1))
    await sync_to_async(send)()
    assert [type(one.error) for one in await sync_to_async(drain)()] == [GaveUpError]


def test_one_that_is_quicker_succeeds(receive):
    @receive(sent, delivery=Durable(give_up_after=LONG, warn_after=LONG / 2))
    async def record(sender, **payload):
        return await asyncio.sleep(0, "done")

    send()
    assert drain() == [Succeeded("done")]


# --- mistakes -----------------------------------------------------------------------------------------------------


def test_a_receiver_that_is_not_async_is_refused_where_it_is_connected(receive):
    def record(sender, **payload): ...

    with pytest.raises(TypeError) as caught:
        receive(sent, delivery=Durable(give_up_after=5))(record)
    assert str(caught.value).endswith(
        " is not async, so that delivery=Durable(give_up_after=5) cannot stop it: give_up_after= is for async"
        " receivers. Give the calls that it waits for a timeout, and use warn_after=."
    )
    assert "record" in str(caught.value)


each_limit = pytest.mark.parametrize("name", ["warn_after", "give_up_after"])


@each_limit
@pytest.mark.parametrize("limit", ["5", True, object, float("nan")])
def test_a_limit_is_a_time(name, limit):
    with pytest.raises(TypeError) as caught:
        Durable(**{name: limit})
    assert str(caught.value) == f"Durable({name}=...) takes seconds, or a timedelta, not {limit!r}."


@each_limit
@pytest.mark.parametrize("limit", [0, -1, float("inf"), timedelta(0), timedelta(days=-1), timedelta(days=4000)])
def test_a_limit_is_more_than_nothing_and_not_more_than_ten_years(name, limit):
    with pytest.raises(ValueError, match=r"up to ten years") as caught:
        Durable(**{name: limit})
    text = f"Durable({name}=...) takes a time of more than nothing, up to ten years, not {limit!r}."
    assert str(caught.value) == text


def test_a_warning_that_would_come_after_the_end_is_refused():
    with pytest.raises(ValueError, match="warns") as caught:
        Durable(warn_after=timedelta(minutes=1), give_up_after=60)
    assert str(caught.value) == (
        "Durable(warn_after=datetime.timedelta(seconds=60)) never warns with give_up_after=60, which comes first: warn"
        " earlier, or leave it out."
    )


def test_limits_are_shown_as_they_were_written():
    assert repr(Durable(warn_after=5, give_up_after=60.5)) == "Durable(warn_after=5, give_up_after=60.5)"
