"""Workers that stand still for longer than their lease, and come back."""

import signal

import pytest
from django.db import connection

from heliograph.outbox.models import State
from tests.crash import settings
from tests.crash.counting import count, of, states, until_finished
from tests.crash.models import Effect, Letter, Order
from tests.crash.processes import until

# What a worker claims in three steps: one, four, and the rest, of which it has begun the first when it is stopped.
NAMES = ["some"] * 5 + ["slow"] + ["some"] * 14


@pytest.fixture
def stopped(start, work_in_batches):
    """Stop a worker in the receiver of a delivery behind which it has claimed others."""

    def stop(model):
        start("send", model.__name__, *NAMES).succeed()
        slow = of(model).order_by("pk")[5]
        worker = work_in_batches(wait_at="receiver slow")
        worker.reach()
        worker.report(signal.SIGSTOP)
        assert of(model).filter(state=State.RUNNING, pk__gt=slow.pk).exists(), "Nothing waits behind it"
        return worker, slow

    return stop


def come_back(worker):
    """Let it go on, and wait until it has found that it has lost what it had."""
    worker.go_on()
    worker.report(signal.SIGCONT)
    until(lambda: "any more, which has made attempt" in worker.said(), lambda: f"a delivery lost by {worker}")


def test_a_worker_that_was_stopped_for_longer_than_its_lease_makes_nothing_that_waited(stopped, work, report):
    """Without a transaction, nothing but the call that had begun happens twice."""
    worker, slow = stopped(Letter)
    other = work()
    until_finished()
    come_back(worker)
    for one in (worker, other):
        one.report(signal.SIGTERM)
        one.succeed()

    twice = Effect.objects.filter(model="Letter", attempt__gt=1)
    assert twice.count() == 1, "The call that had begun was made again, and nothing else"
    twice.delete()
    slow.refresh_from_db()
    assert (slow.state, slow.attempts) == (State.SUCCESSFUL, 2)
    report("A worker stopped for longer than its lease, whose receiver has no transaction", count(Letter))


@pytest.mark.skipif(connection.vendor == "sqlite", reason="A receiver on SQLite has the database to itself")
def test_what_a_worker_wrote_that_was_stopped_for_longer_than_its_lease_is_undone(stopped, work, report):
    worker, slow = stopped(Order)
    other = work()
    until(lambda: states(Order) == {State.SUCCESSFUL: len(NAMES)}, "all is done by another worker")
    come_back(worker)
    for one in (worker, other):
        one.report(signal.SIGTERM)
        one.succeed()

    assert {*of(Order).exclude(pk=slow.pk).values_list("attempts", flat=True)} == {1}
    report("A worker stopped for longer than its lease", count(Order))


@pytest.mark.skipif(connection.vendor != "postgresql", reason="Django has pools for PostgreSQL only")
def test_leases_are_renewed_where_the_pool_of_connections_has_none_to_spare(start, work, report):
    start("send", "Letter", *["some"] * 8).succeed()
    twice_a_lease = {"HELIOGRAPH_CRASH_WORK": str(2 * settings.LEASE.total_seconds())}
    pooled = work("--concurrency", "4", HELIOGRAPH_CRASH_POOL="1", **twice_a_lease)
    work("--queue", "another one")  # which rescues what lost workers have
    until_finished()

    assert pooled.is_alive(), "It did not survive"
    assert {*of(Letter).values_list("state", "attempts")} == {(State.SUCCESSFUL, 1)}
    report("A worker with as many threads as its pool has connections", count(Letter))
