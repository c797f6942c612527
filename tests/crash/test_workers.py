"""Workers that are killed or stopped: what they had in hand is done by others, once."""

import signal
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from heliograph.outbox.models import Delivery, Operation, State
from tests.crash.counting import Count, count, of, row_of, states, until_finished
from tests.crash.models import Effect, Letter, Order, Parcel
from tests.crash.processes import until

SOME = ["some"] * 5

PLACES = {
    "before claim": "before the claim",
    "at claim": "in the claim",
    "delivery_started": "after the claim",
    "receiver": "in the receiver",
    "effect": "after the receiver and before recording",
    "at record": "after recording",
    "before commit of record": "before COMMIT",
    "after record": "after COMMIT",
    "delivery_finished": "after observers were called",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_that_is_killed_loses_nothing_and_does_nothing_twice(start, work, report, place):
    start("send", "Order", *SOME).succeed()

    work(die_at=place).die()
    assert count(Order).done == (place in ("after record", "delivery_finished"))

    worker = work()
    until_finished()
    worker.kill()
    assert states(Order) == {State.SUCCESSFUL: len(SOME)}
    report(f"A worker killed {PLACES[place]}", count(Order))


def test_only_what_was_in_hand_has_lost_an_attempt(start, work, work_in_batches, report):
    start("send", "Order", *SOME, *SOME, "last", *SOME, *SOME).succeed()
    last = of(Order).order_by("pk")[10]

    work_in_batches(die_at="effect last").die()
    assert of(Order).filter(state=State.RUNNING, pk__gt=last.pk).exists(), "It was claimed alone"
    worker = work()
    until_finished()
    worker.kill()

    last.refresh_from_db()
    assert last.attempts == 2
    assert {*of(Order).exclude(pk=last.pk).values_list("attempts", flat=True)} == {1}
    report("The neighbours of a delivery whose worker was killed", count(Order))


def test_a_worker_that_is_killed_at_any_step_loses_nothing_and_does_nothing_twice(start, work, report):
    worker = start("die_working", "1")
    worker.succeed(100)

    work()
    until_finished()
    assert states(Order) == {State.SUCCESSFUL: Order.objects.count()}
    report("A worker killed at each of its steps", count(Order))


def test_an_operation_that_is_killed_is_finished_by_a_worker_and_changes_each_delivery_once(start, work, report):
    start("die_operating", "3").succeed(100)
    broken = Operation.objects.exclude(by="warm")
    assert broken.filter(finished_at=None).count() > 1

    worker = work()
    until(lambda: not broken.filter(finished_at=None).exists(), "every operation is done")
    worker.kill()
    assert {*broken.values_list("total", "done", "changed")} == {(3, 3, 3)}
    times = Counter(len(delivery.events) for delivery in Delivery.objects.all())
    redelivered = Count(times.total(), times.total() - times[0], times[0], times.total() - times[0] - times[1])
    report("An operation killed at many of its steps", redelivered)


_WHEN = {"before pruning": "before", "at pruning": "while"}


@pytest.mark.parametrize("place", _WHEN)
def test_a_worker_that_is_killed_while_pruning_has_pruned_what_was_finished(start, work, report, place):
    start("send", "Order", *SOME).succeed()
    work("--drain").succeed()
    of(Order).update(finished_at=timezone.now() - timedelta(days=1))
    dead = Delivery.objects.create(**_old(State.DEAD, "some"))
    start("send", "Order", *SOME).succeed()

    work(die_at=place).die()
    assert Delivery.objects.filter(pk=dead.pk).exists()

    worker = work()
    until_finished()
    until(lambda: of(Order).filter(state=State.SUCCESSFUL).count() == len(SOME), "what was finished long ago is pruned")
    worker.kill()
    assert Delivery.objects.filter(pk=dead.pk).exists(), "A dead letter was pruned"
    report(f"A worker killed {_WHEN[place]} pruning", count(Order))


def _old(state, name):
    then = timezone.now() - timedelta(days=1)
    return {
        "backend": "default",
        "queue": "default",
        "receiver": "tests.crash.receivers.handle_order",
        "state": state,
        "payload": "{}",
        "due_at": then,
        "created_at": then,
        "finished_at": then,
    }


def test_a_delivery_that_kills_its_workers_ends_as_a_dead_letter_and_its_neighbours_succeed(
    start, work, work_in_batches, report
):
    names = ["some"] * 30
    names[10] = "poison"
    start("send", "Parcel", *names).succeed()
    poison = of(Parcel).order_by("pk")[10]

    work_in_batches().die()
    assert of(Parcel).filter(state=State.RUNNING, pk__gt=poison.pk).exists(), "It was claimed alone"
    for _ in range(2):
        work().die()
    worker = work()
    until_finished()
    worker.kill()

    poison.refresh_from_db()
    assert (poison.state, poison.attempts) == (State.DEAD, 3), poison.history
    neighbours = of(Parcel).exclude(pk=poison.pk)
    assert {*neighbours.values_list("state", "attempts")} == {(State.SUCCESSFUL, 1)}
    report("The neighbours of a delivery that kills its workers", count(Parcel, left_out=1))


def test_a_receiver_without_a_transaction_is_called_again_with_the_same_key(start, work, report):
    start("send", "Letter", *SOME).succeed()

    work(die_at="effect").die()
    worker = work()
    until_finished()
    worker.kill()

    assert states(Letter) == {State.SUCCESSFUL: len(SOME)}
    effects = Effect.objects.filter(model="Letter")
    assert effects.count() == len(SOME) + 1, "At least once: the one in hand was called twice"
    assert effects.values("key").distinct().count() == len(SOME)
    report("A worker killed in receivers that take a key, counted by it", count(Letter, by_key=True))


def test_a_worker_that_is_to_end_finishes_what_it_does(start, work, report):
    start("send", "Order", *SOME).succeed()
    worker = work("--grace", "30", wait_at="receiver")
    worker.reach()

    worker.report(signal.SIGTERM)
    worker.go_on()
    worker.succeed()

    done = Effect.objects.count()
    assert done >= 1, "What it had begun was not finished"
    assert of(Order).filter(state=State.RUNNING).count() == 0, "Something was not handed back"
    assert states(Order).get(State.SUCCESSFUL) == done
    assert {*of(Order).filter(state=State.READY).values_list("attempts", flat=True)} <= {0}, "An attempt was taken"
    work("--drain").succeed()
    assert {*of(Order).values_list("attempts", flat=True)} == {1}
    report("A worker that is to end, with a receiver that is done within grace", count(Order))


def test_a_worker_that_is_to_end_hands_back_what_takes_too_long(start, work, report):
    start("send", "Order", *SOME).succeed()
    worker = work("--grace", "0.5", wait_at="effect")
    worker.reach()

    worker.report(signal.SIGTERM)
    worker.succeed(10)  # though its receiver never returns

    assert states(Order) == {State.READY: len(SOME)}
    assert Effect.objects.count() == 0
    work("--drain").succeed()  # right away: there is no lease to wait for
    assert states(Order) == {State.SUCCESSFUL: len(SOME)}
    report("A worker that is to end, with a receiver that takes longer than grace", count(Order))


def test_a_worker_that_is_to_end_while_it_waits_ends(start, work, report):
    """A signal interrupts it anywhere, and there it has the lock of what it waits for."""
    start("send", "Order", *SOME).succeed()
    work(tell_at="waiting").succeed(10)
    work("--drain").succeed()
    report("A worker that is to end while it waits", count(Order))


@pytest.mark.parametrize("model", [Order, Letter])
@pytest.mark.parametrize("name", ["fork and exit", "fork and raise", "fork and return", "fork after the commit"])
def test_a_process_that_a_receiver_forks_ends_with_the_receiver_and_records_nothing(start, work, report, model, name):
    start("send", model.__name__, *SOME, name, *SOME).succeed()
    worker = work()
    until_finished()

    assert worker.is_alive(), "It did not survive"
    assert {*of(model).values_list("state", "attempts")} == {(State.SUCCESSFUL, 1)}
    assert {*Effect.objects.values_list("process", flat=True)} == {worker.pid}
    report(f"A receiver of {model.__name__} whose process does: {name}", count(model))


@pytest.mark.parametrize("model", [Order, Letter])
@pytest.mark.parametrize("name", ["interrupted", "ended"])
def test_a_receiver_that_raises_what_ends_threads_ends_its_attempt_alone(start, work, report, model, name):
    start("send", model.__name__, *SOME, *[name] * 8, *SOME).succeed()
    worker = work("--concurrency", "4")
    until_finished()

    assert worker.is_alive(), "It did not survive"
    assert failures_of(model) == {name: 8}
    report(f"A receiver of {model.__name__} that is {name}", count(model))


@pytest.mark.parametrize("model", [Order, Letter])
@pytest.mark.parametrize("name", ["block left open", "autocommit left off"])
def test_nothing_is_lost_in_a_transaction_that_a_receiver_leaves_open(start, work, report, model, name):
    start("send", model.__name__, *SOME, name, *SOME, name, *SOME).succeed()
    worker = work()
    until_finished()
    worker.report(signal.SIGTERM)
    worker.succeed()  # with what it has not committed

    assert failures_of(model) == {name: 2}
    report(f"A receiver of {model.__name__} that ends with: {name}", count(model))


def failures_of(model):
    """Return how many rows with each name have succeeded in the second attempt; the others have in the first."""
    names = dict(model.objects.values_list("pk", "name"))
    rows = of(model).filter(state=State.SUCCESSFUL).values_list("payload", "attempts")
    assert len(rows) == len(names)
    assert {attempts for _, attempts in rows} == {1, 2}
    return Counter(names[row_of(payload)] for payload, attempts in rows if attempts == 2)
