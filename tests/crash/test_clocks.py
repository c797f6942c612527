"""Clocks that jump, and clocks that are wrong."""

import signal
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F

from heliograph.outbox.models import State
from tests.crash.counting import count, of, states, until_finished
from tests.crash.models import Effect, Order
from tests.crash.processes import until
from tests.crash.settings import LEASE

HOURS = 5 * 3600

# On SQLite a receiver has the database to itself until it commits, so nobody can take anything from it there.
PLACES = ["delivery_started"] if connection.vendor == "sqlite" else ["delivery_started", "receiver", "effect"]


@pytest.mark.parametrize("place", PLACES)
def test_what_was_taken_from_a_worker_that_goes_on_is_done_once(start, work, report, place):
    """The clock jumps, and leases run out while the worker that has them goes on."""
    start("send", "Order", *["some"] * 4).succeed()
    first = work(wait_at=place)
    first.reach()
    work()

    def jump():
        with transaction.atomic():
            # Rows that a worker locks at this moment wait for the next jump: on MariaDB, waiting for them may deadlock.
            taken = of(Order).filter(state=State.RUNNING).exclude(attempts__gt=1).select_for_update(skip_locked=True)
            free = [delivery.pk for delivery in taken]
            of(Order).filter(pk__in=free).update(leased_until=F("leased_until") - timedelta(hours=1))
        return of(Order).filter(attempts__gt=1).exists()

    until(jump, "the second worker takes what the first one has")
    until_finished()
    first.go_on()
    _until_idle(first)

    assert states(Order) == {State.SUCCESSFUL: 4}
    report(f"Two workers and a clock that jumps, the first {_said(place)}", count(Order))


@pytest.mark.parametrize("place", PLACES)
def test_what_was_taken_from_a_worker_that_was_frozen_is_done_once(start, work, report, place):
    """As a machine does that is suspended: it wakes up when its leases have run out."""
    start("send", "Order", *["some"] * 4).succeed()
    first = work(wait_at=place)
    first.reach()
    first.report(signal.SIGSTOP)

    second = work()
    until_finished()
    first.report(signal.SIGCONT)
    first.go_on()
    _until_idle(first)

    assert second.is_alive()
    assert states(Order) == {State.SUCCESSFUL: 4}
    report(f"A worker frozen for longer than its lease {_said(place)}", count(Order))


def test_what_was_taken_from_a_worker_is_left_to_the_one_that_has_it_now(start, work, report):
    """Though it is in work still, it is not for the first one to record it."""
    start("send", "Order", "some").succeed()
    first = work(wait_at=PLACES[-1])
    first.reach()
    first.report(signal.SIGSTOP)
    second = work(wait_at="delivery_started")
    second.reach()

    first.report(signal.SIGCONT)
    first.go_on()
    _until_idle(first)
    assert states(Order) == {State.RUNNING: 1}, "The first one has recorded what the second one has"
    assert not Effect.objects.exists(), "What the first one has written is not undone"

    second.go_on()
    until_finished()
    report("A worker that goes on while another one has what it had", count(Order))


def _until_idle(worker):
    """Let it end what it has in hand, with all its results."""
    worker.report(signal.SIGTERM)
    worker.succeed()


def _said(place):
    return {"delivery_started": "after the claim", "receiver": "in the receiver", "effect": "after the receiver"}[place]


def test_workers_whose_clocks_are_wrong_do_everything_once_and_nothing_early(start, work, report):
    workers = [work(clock=hours) for hours in (-HOURS, HOURS)]
    start("send", "Order", *["some", "flaky"] * 20).succeed()
    until_finished()
    assert {worker.is_alive() for worker in workers} == {True}
    assert {*Effect.objects.values_list("attempt", flat=True)} == {1, 2}
    report("Workers whose clocks are five hours slow and fast", count(Order))


@pytest.mark.parametrize("hours", [-HOURS, HOURS], ids=["slow", "fast"])
def test_a_worker_whose_clock_is_wrong_keeps_to_the_clock_of_the_database(start, work, report, hours):
    start("send", "Order", "later", "some", clock=hours).succeed()
    later = of(Order).order_by("pk")[0]
    of(Order).filter(pk=later.pk).update(due_at=F("due_at") + timedelta(hours=1))

    work("--drain", clock=hours).succeed()
    later.refresh_from_db()
    assert (later.state, later.attempts) == (State.READY, 0), "It came too early"
    assert count(Order).done == 1, "It did not come"

    of(Order).filter(pk=later.pk).update(due_at=F("due_at") - timedelta(hours=1))
    work("--drain", clock=hours).succeed()
    report(f"A worker whose clock is {abs(hours) // 3600} hours {'slow' if hours < 0 else 'fast'}", count(Order))


def test_a_worker_whose_clock_is_wrong_rescues_what_was_lost_and_nothing_else(start, work, report):
    """One that goes fast would rescue too early, and one that goes slow never."""
    start("send", "Order", "some", "some").succeed()
    busy = work(wait_at="delivery_started")
    busy.reach()
    fast = work(clock=HOURS)
    began = _leases()
    until(lambda: min(_leases()) > max(began) + LEASE, "a lease that is renewed")
    assert {*of(Order).values_list("attempts", flat=True)} <= {0, 1}, "It was taken from a worker that lives"
    busy.kill()
    fast.kill()

    work(clock=-HOURS)
    until_finished()
    report("A worker killed after the claim, and another one whose clock is slow", count(Order))


def _leases():
    return [*of(Order).filter(state=State.RUNNING).values_list("leased_until", flat=True)]
