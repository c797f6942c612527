"""The attempts of a delivery: how many there are, what each may do, and what is kept of it."""

import datetime
import logging
import threading
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from heliograph import (
    NO_ROW,
    BeforeCommit,
    Discard,
    Durable,
    OnCommit,
    Retry,
    RetryAfter,
    Signal,
    changed,
    created,
    exponential,
    fixed,
    mute,
    observe,
    trace,
)
from heliograph.outbox.events import DeliveryEvent
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, Discarded, Succeeded
from heliograph.outbox.upkeep.rescuing import rescue
from heliograph.outbox.work.runner import drain, run_one
from tests.app.models import Article, Genre, Novel, Ticket
from tests.helpers.deliveries import row
from tests.helpers.errors import MishapError
from tests.helpers.sessions import end_own, has_sessions
from tests.helpers.threads import in_thread

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# Where it is about what Django does outside of a test's own transaction.
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])

sent = Signal(name="shop.told")


class WorseError(MishapError):
    """What it raises when things are worse."""


def at_once(attempts=3, **options):
    """Return a retry that does not wait."""
    return Retry(attempts=attempts, backoff=fixed(0), jitter=0, **options)


def send(*numbers, using="default"):
    """Send each number, in a transaction of its own."""
    for number in numbers or (0,):
        sent.send(sender=None, using=using, number=number)


@pytest.fixture
def act(receive):
    """Connect a durable receiver that does what a function does: the list has the `delivery` of each call."""

    def connect(action=None, **options):
        calls = []

        @receive(sent, delivery=Durable(**options))
        def note(sender, delivery, **payload):
            calls.append(delivery)
            return None if action is None else action(delivery=delivery, **payload)

        return calls

    return connect


@pytest.fixture
def numbers(receive):
    """Connect a durable receiver: the list has the numbers that it was called with; it fails for the negative ones."""

    def connect(**options):
        received = []

        @receive(sent, delivery=Durable(**options))
        def note_number(sender, number, **payload):
            received.append(number)
            if number < 0:
                raise MishapError(f"no {number}")

        return received

    return connect


def fail(**payload):
    raise MishapError("no way")


def fail_with(error):
    def fail(**payload):
        raise error

    return fail


def give(value):
    return lambda **payload: value


def types(outcomes):
    return [type(one) for one in outcomes]


def wait_over(**of):
    """Let the time come for deliveries that wait."""
    Delivery.objects.filter(state=State.READY, **of).update(due_at=timezone.now() - datetime.timedelta(minutes=1))


def delay(delivery):
    """Return how long after an attempt has begun the next one is due, in seconds."""
    return (delivery.due_at - delivery.claimed_at).total_seconds()


# --- policies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (12, 2048), (13, 3600), (32767, 3600)])
def test_an_exponential_backoff_grows_up_to_an_hour(attempt, seconds):
    assert exponential()(attempt) == seconds


def test_its_numbers_can_be_given():
    assert [exponential(first=10, factor=3, most=50)(attempt) for attempt in (1, 2, 3)] == [10, 30, 50]


def test_a_fixed_backoff_is_the_same_after_every_attempt():
    assert [fixed(5)(attempt) for attempt in (1, 2, 100)] == [5, 5, 5]


@pytest.mark.parametrize("make", [exponential, lambda: fixed(5), Retry, Durable])
def test_policies_that_say_the_same_are_equal(make):
    assert (make(), hash(make())) == (make(), hash(make()))


def test_a_retry_is_shown_as_it_was_written():
    assert repr(Retry()) == "Retry()"
    written = "Retry(attempts=3, backoff=fixed(5), on=(ValueError, KeyError,))"
    assert repr(Retry(attempts=3, backoff=fixed(5), on=(ValueError, KeyError))) == written


def test_there_are_eight_attempts_unless_something_else_is_said():
    retry = Retry()
    assert (retry.attempts, retry.backoff, retry.jitter, retry.on) == (8, exponential(), 0.1, (BaseException,))


NONSENSE = {
    "no attempts": lambda: Retry(attempts=0),
    "half an attempt": lambda: Retry(attempts=1.5),
    "a negative jitter": lambda: Retry(jitter=-0.1),
    "a jitter of more than all": lambda: Retry(jitter=2),
    "a number for a backoff": lambda: Retry(backoff=5),
    "no class to retry on": lambda: Retry(on=(3,)),
    "no class to give up on": lambda: Retry(give_up_on="KeyError"),
    "a negative backoff": lambda: fixed(-1),
    "a backoff that is no number": lambda: fixed(float("nan")),
    "a negative first backoff": lambda: exponential(first=-1),
    "a backoff that shrinks": lambda: exponential(factor=0.5),
    "a negative wait": lambda: RetryAfter(-1),
    "a wait in words": lambda: RetryAfter("soon"),
    "an empty queue": lambda: Durable(queue=""),
    "a long name of a queue": lambda: Durable(queue="x" * 65),
    "a number for a retry": lambda: Durable(retry=3),
    "a number for a key": lambda: Durable(key=3),
    "no such way to miss": lambda: Durable(missing="ignore"),
    "neither atomic nor not": lambda: Durable(atomic=None),
    "an alias without a module": lambda: Durable(aliases=("plain",)),
    "a number for a batch": lambda: Durable(batch=1),
}


@pytest.mark.parametrize("make", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused_where_it_is_written(make):
    with pytest.raises((TypeError, ValueError)):
        make()


# --- retries ------------------------------------------------------------------------------------------------------


def fail_before(attempt):
    """Return what fails in all attempts before this one."""

    def act(delivery, **payload):
        if delivery.attempt < attempt:
            raise MishapError("no way")

    return act


def test_a_receiver_that_fails_is_called_again_until_it_succeeds(act):
    calls = act(fail_before(3), retry=at_once(8))
    send()
    assert types(drain()) == [Again, Again, Succeeded]
    assert [one.attempt for one in calls] == [1, 2, 3]


def test_after_its_last_attempt_it_is_dead(act):
    calls = act(fail, retry=at_once(3))
    send()
    assert types(drain()) == [Again, Again, Dead]
    assert (len(calls), row().state, row().attempts) == (3, State.DEAD, 3)


def test_a_dead_delivery_is_not_attempted_again(act):
    act(fail, retry=at_once(1))
    send()
    drain()
    wait_over()
    assert drain() == []


def test_the_outcome_has_the_error(act):
    error = MishapError("no way")
    act(fail_with(error), retry=at_once(2))
    send()
    assert drain() == [Again(0, error), Dead(error)]


def test_between_attempts_it_is_ready_and_has_no_lease(act):
    act(fail, retry=Retry(backoff=fixed(1000)))
    send()
    drain()
    assert (row().state, row().attempts, row().leased_until, row().finished_at) == (State.READY, 1, None, None)


def test_before_it_is_due_it_is_left_alone(act):
    calls = act(fail, retry=Retry(backoff=fixed(1000)))
    send()
    assert types(drain()) == [Again]
    assert drain() == []
    assert len(calls) == 1


def test_the_backoff_says_when_it_is_due(act):
    act(fail, retry=Retry(backoff=fixed(1000), jitter=0))
    send()
    drain()
    assert 1000 <= delay(row()) < 1060


def test_each_attempt_is_further_from_the_one_before(act):
    act(fail, retry=Retry(backoff=exponential(first=1000, factor=10, most=10**6), jitter=0))
    send()
    delays = []
    for _ in range(3):
        drain()
        delays.append(round(delay(row()), -2))
        wait_over()
    assert delays == [1000, 10_000, 100_000]


def test_a_backoff_may_be_a_function_of_the_attempt_that_failed(act):
    given = []

    def backoff(attempt):
        given.append(attempt)
        return 0

    act(fail, retry=Retry(attempts=3, backoff=backoff))
    send()
    drain()
    assert given == [1, 2]


@pytest.mark.parametrize(
    "backoff",
    [lambda attempt: 1 / 0, lambda attempt: None, lambda attempt: float("nan"), lambda attempt: "soon"],
    ids=["an error", "nothing", "no number", "a text"],
)
def test_a_backoff_that_fails_stops_no_other(act, numbers, backoff):
    act(fail, retry=Retry(attempts=2, backoff=backoff))
    received = numbers()
    send(1)
    with suppress(Exception):
        drain()
    drain()
    assert received == [1]


@pytest.mark.parametrize("seconds", [-5, 1e30, float("inf")])
def test_a_backoff_that_makes_no_sense_is_made_one_that_does(act, seconds):
    act(fail, retry=Retry(attempts=2, backoff=lambda attempt: seconds))
    send()
    outcomes = drain()
    assert isinstance(outcomes[0], Again)


def test_a_jitter_spreads_what_has_failed_together(act):
    act(fail, retry=Retry(backoff=fixed(1000), jitter=0.5))
    send(*range(20))
    drain()
    delays = [delay(one) for one in Delivery.objects.all()]
    assert min(delays) >= 500
    assert max(delays) < 1560
    assert max(delays) - min(delays) > 30


def test_an_error_that_is_not_named_is_not_retried(act):
    act(fail_with(KeyError("k")), retry=at_once(on=(ValueError,)))
    send()
    assert types(drain()) == [Dead]


def test_an_error_whose_base_is_named_is_retried(act):
    act(fail_with(WorseError()), retry=at_once(2, on=(ValueError, MishapError)))
    send()
    assert types(drain()) == [Again, Dead]


def test_an_error_to_give_up_on_is_not_retried(act):
    act(fail_with(WorseError()), retry=at_once(give_up_on=(WorseError,)))
    send()
    assert types(drain()) == [Dead]


def test_other_errors_are_retried_beside_one_to_give_up_on(act):
    act(fail_with(MishapError()), retry=at_once(2, give_up_on=(WorseError,)))
    send()
    assert types(drain()) == [Again, Dead]


def test_a_failing_delivery_stops_no_other(numbers):
    received = numbers(retry=at_once(2))
    send(1, -2, 3)
    drain()
    assert sorted(received) == [-2, -2, 1, 3]
    assert Delivery.objects.filter(state=State.SUCCESSFUL).count() == 2


# --- RetryAfter and Discard ---------------------------------------------------------------------------------------


@pytest.fixture(params=["raised", "returned"])
def answer(request):
    """Return what a receiver does that answers with a value, by one of the two ways."""
    return fail_with if request.param == "raised" else give


def test_a_receiver_may_ask_for_another_attempt_after_some_time(act, answer):
    act(answer(RetryAfter(5000)))
    send()
    (outcome,) = drain()
    assert (type(outcome), outcome.seconds) == (Again, 5000)
    assert 5000 <= delay(row()) < 5060


def test_that_counts_as_an_attempt(act, answer):
    calls = act(answer(RetryAfter(0)), retry=Retry(attempts=2))
    send()
    assert types(drain()) == [Again, Dead]
    assert (len(calls), row().state) == (2, State.DEAD)


def test_what_it_has_written_is_undone(act, answer):
    def write(**payload):
        Genre.objects.create()
        return answer(RetryAfter(5000))(**payload)

    act(write)
    send()
    drain()
    assert Genre.objects.count() == 0


def test_it_is_asked_for_whatever_errors_are_retried(act, answer):
    act(answer(RetryAfter(0)), retry=Retry(attempts=2, on=(ValueError,)))
    send()
    assert types(drain()) == [Again, Dead]


def test_a_receiver_may_discard_its_delivery(act, answer):
    act(answer(Discard("the order is cancelled")))
    send()
    assert drain() == [Discarded("the order is cancelled")]
    assert (row().state, row().error) == (State.DISCARDED, "the order is cancelled")


def test_a_delivery_that_was_discarded_is_not_attempted_again(act, answer):
    calls = act(answer(Discard("done")))
    send()
    drain()
    wait_over()
    assert (drain(), len(calls)) == ([], 1)


def test_what_it_had_written_before_it_raised_discard_is_undone(act):
    def write(**payload):
        Genre.objects.create()
        raise Discard("done")

    act(write)
    send()
    drain()
    assert Genre.objects.count() == 0


# --- what is kept -------------------------------------------------------------------------------------------------


def test_a_dead_letter_has_the_error_in_one_line(act):
    act(fail_with(MishapError("first line\nsecond line")), retry=at_once(1))
    send()
    drain()
    error = row().error
    assert ("MishapError" in error, "first line" in error, "\n" in error) == (True, True, False)


def test_a_dead_letter_has_the_traceback(act):
    act(fail, retry=at_once(1))
    send()
    drain()
    assert (", in fail\n" in row().traceback, "MishapError: no way" in row().traceback) == (True, True)


def test_a_dead_letter_has_its_attempts(act):
    act(fail, retry=at_once(3))
    send()
    drain()
    failures = row().failures
    assert [(one["attempt"], "no way" in one["error"]) for one in failures] == [(1, True), (2, True), (3, True)]


def test_each_attempt_has_its_time_and_its_worker(act):
    act(fail, retry=at_once(1))
    send()
    drain()
    (failure,) = row().failures
    at = datetime.datetime.fromisoformat(failure["at"])
    assert failure["worker"] == row().worker
    assert abs(at - row().created_at) < datetime.timedelta(minutes=1)


def test_a_delivery_that_succeeds_at_last_keeps_its_failures(act):
    act(fail_before(3), retry=at_once())
    send()
    drain()
    assert [one["attempt"] for one in row().failures] == [1, 2]


def test_the_time_of_its_end_is_kept(act):
    act()
    send()
    drain()
    assert row().finished_at >= row().claimed_at >= row().created_at


def test_the_error_is_kept_between_attempts(act):
    act(fail, retry=Retry(backoff=fixed(1000)))
    send()
    drain()
    assert ("no way" in row().error, "no way" in row().traceback) == (True, True)


class UnprintableError(Exception):
    """An error that has no text."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


ODD = {
    "no text": UnprintableError(),
    "much text": MishapError("x" * 1_000_000),
    "symbols": MishapError("😀"),
    "a zero": MishapError("\x00"),
    "half a symbol": MishapError("\udc80"),
}


@pytest.mark.parametrize("error", ODD.values(), ids=ODD.keys())
def test_any_error_can_be_kept(act, error):
    act(fail_with(error), retry=at_once(2))
    send()
    assert types(drain()) == [Again, Dead]
    assert type(error).__name__ in row().error


def test_an_error_that_has_no_text_is_logged(act, log):
    act(fail_with(UnprintableError()), retry=at_once(2))
    send()
    drain()
    assert ["UnprintableError" in record.getMessage() for record in log()] == [True, True]


def test_any_reason_to_discard_can_be_kept(act):
    act(give(Discard("half a symbol: \udc80, and \x00")))
    send()
    assert types(drain()) == [Discarded]
    assert "half a symbol" in row().error


# --- one effect ---------------------------------------------------------------------------------------------------


def write(**payload):
    Genre.objects.create()


def write_and_fail(**payload):
    Genre.objects.create()
    raise MishapError


def test_what_a_failed_attempt_has_written_is_undone(act):
    act(write_and_fail, retry=at_once(2))
    send()
    drain()
    assert Genre.objects.count() == 0


def test_what_the_attempt_that_succeeds_has_written_is_there_once(act):
    def write_and_fail_once(delivery, **payload):
        Genre.objects.create()
        if delivery.attempt == 1:
            raise MishapError

    act(write_and_fail_once, retry=at_once())
    send()
    drain()
    assert (Genre.objects.count(), row().state) == (1, State.SUCCESSFUL)


@really_committed
def test_effect_and_success_are_one_transaction(act):
    found = []

    def look_elsewhere():
        in_thread(lambda: found.append((Genre.objects.count(), row().state)))

    def write_and_look(**payload):
        Genre.objects.create()
        look_elsewhere()
        transaction.on_commit(look_elsewhere)

    act(write_and_look)
    send()
    drain()
    assert found == [(0, State.RUNNING), (1, State.SUCCESSFUL)]


@really_committed
def test_a_receiver_is_in_a_transaction(act):
    found = []
    act(lambda **payload: found.append(connection.in_atomic_block))
    send()
    drain()
    assert found == [True]


@really_committed
def test_one_that_is_not_atomic_is_in_none(act):
    found = []
    act(lambda **payload: found.append(connection.in_atomic_block), atomic=False)
    send()
    drain()
    assert found == [False]


@really_committed
def test_what_one_that_is_not_atomic_writes_stays_when_it_fails(act):
    act(write_and_fail, retry=at_once(2), atomic=False)
    send()
    drain()
    assert Genre.objects.count() == 2


def test_one_that_is_not_atomic_is_running_while_it_runs(act):
    found = []
    act(lambda **payload: found.append((row().state, row().attempts)), atomic=False)
    send()
    drain()
    assert (found, row().state) == ([(State.RUNNING, 1)], State.SUCCESSFUL)


def test_a_running_delivery_has_a_worker_and_a_lease(act):
    found = []
    act(lambda **payload: found.append(row()), atomic=False)
    send()
    drain()
    (running,) = found
    assert running.worker
    assert running.leased_until > running.claimed_at


TAKEN = {
    "by another worker": {"worker": "another"},
    "in another attempt": {"attempts": 7},
    "and handed back": {"state": State.READY, "due_at": datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)},
    "and discarded": {"state": State.DISCARDED},
}

each_taken = pytest.mark.parametrize("values", TAKEN.values(), ids=TAKEN)


@each_taken
def test_what_a_receiver_does_whose_delivery_was_taken_is_undone(act, values):
    def write_late(**payload):
        Genre.objects.create()
        assert Delivery.objects.update(**values) == 1

    act(write_late)
    send()
    drain(limit=1)
    assert (Genre.objects.count(), Delivery.objects.filter(state=State.SUCCESSFUL).count()) == (0, 0)


@each_taken
def test_what_waits_for_its_commit_is_not_done_either(act, receive, values):
    received = []

    @receive(post_save, sender=Genre, delivery=OnCommit())
    def note_genre(sender, **kwargs):
        received.append(sender)

    def write_late(**payload):
        Genre.objects.create()
        Delivery.objects.update(**values)

    act(write_late)
    send()
    drain(limit=1)
    assert received == []


@each_taken
@pytest.mark.parametrize(
    "action",
    [give(None), fail, give(Discard("no")), give(RetryAfter(1))],
    ids=["success", "failure", "discard", "wait"],
)
def test_nobody_writes_what_became_of_a_delivery_that_was_taken(act, values, action):
    def be_late(**payload):
        Delivery.objects.update(**values)
        return action(**payload)

    act(be_late, atomic=False)
    send()
    drain(limit=1)
    assert {name: getattr(row(), name) for name in values} == values
    assert row().error == ""


def test_one_that_was_taken_stops_no_other(act, numbers):
    def be_late(delivery, **payload):
        Delivery.objects.filter(pk=delivery.id).update(worker="another")

    act(be_late)
    received = numbers()
    send(1)
    assert drain() == [Succeeded()]
    assert received == [1]


def break_down_after_the_commit(**payload):
    def break_down():
        raise MishapError("after the commit")

    transaction.on_commit(break_down)


@really_committed
def test_what_is_committed_has_succeeded_although_a_callback_after_the_commit_raises(act):
    act(break_down_after_the_commit)
    send()
    assert types(drain()) == [Succeeded]
    assert row().state == State.SUCCESSFUL


@really_committed
def test_a_callback_after_the_commit_that_raises_stops_no_other(act, numbers):
    act(break_down_after_the_commit)
    received = numbers()
    send(1)
    drain()
    assert received == [1]


@really_committed
def test_a_callback_after_the_commit_that_raises_is_logged_and_nothing_is_said_to_be_undone(act, log):
    act(break_down_after_the_commit)
    send()
    drain()
    text = " ".join(record.getMessage() for record in log())
    assert "undone" not in text


def test_what_is_due_before_the_commit_of_a_receiver_that_fails_makes_it_fail(act, receive):
    @receive(post_save, sender=Genre, delivery=BeforeCommit())
    def refuse(sender, **kwargs):
        raise MishapError("not before the commit")

    act(write, retry=at_once(1))
    send()
    assert types(drain()) == [Dead]
    assert (row().state, Genre.objects.count(), "not before the commit" in row().error) == (State.DEAD, 0, True)


def test_what_a_receiver_sends_to_durable_ones_is_delivered_after_it(act, receive):
    received = []

    @receive(post_save, sender=Genre, delivery=Durable())
    def note_genre(sender, instance, **kwargs):
        received.append(instance)

    act(write)
    send()
    assert types(drain()) == [Succeeded, Succeeded]
    assert received == [Genre.objects.get()]


@really_committed
def test_a_receiver_that_breaks_its_transaction_has_failed(act):
    def break_transaction(**payload):
        Genre.objects.create()
        transaction.set_rollback(True)

    act(break_transaction, retry=at_once(1))
    send()
    assert types(drain()) == [Dead]
    assert (Genre.objects.count(), row().state) == (0, State.DEAD)


@really_committed
def test_an_error_of_the_database_is_a_failed_attempt(act):
    def collide(**payload):
        Ticket.objects.bulk_create([Ticket(id=delivery_id), Ticket(id=delivery_id)])

    delivery_id = "12345678-1234-5678-1234-567812345678"
    act(collide, retry=at_once(2))
    send()
    assert types(drain()) == [Again, Dead]
    assert "IntegrityError" in row().error


@really_committed
def test_an_error_that_the_database_finds_at_the_commit_is_a_failed_attempt(act):
    def refer_to_nothing(**payload):
        Novel.objects.create(writer_id=999)

    act(refer_to_nothing, retry=at_once(2))
    send()
    assert types(drain()) == [Again, Dead]
    assert ("IntegrityError" in row().error, Novel.objects.count()) == (True, 0)


def write_and_lose_connection(delivery, **payload):
    Genre.objects.create()
    if delivery.attempt == 1:
        end_own()
        Genre.objects.count()


def write_and_lose_connection_unawares(delivery, **payload):
    Genre.objects.create()
    if delivery.attempt == 1:
        end_own()


@really_committed
@has_sessions
@pytest.mark.usefixtures("fresh_connection")
@pytest.mark.parametrize("action", [write_and_lose_connection, write_and_lose_connection_unawares])
def test_an_attempt_whose_connection_is_lost_has_failed_and_the_next_one_has_another(act, action):
    act(action, retry=at_once())
    send()
    assert types(drain()) == [Again, Succeeded]
    assert Genre.objects.count() == 1


@really_committed
@has_sessions
@pytest.mark.usefixtures("fresh_connection")
def test_one_that_is_not_atomic_and_loses_its_connection_has_failed_and_the_next_one_has_another(act):
    calls = act(write_and_lose_connection, retry=at_once(), atomic=False)
    send()
    assert types(drain()) == [Again, Succeeded]
    assert [one.attempt for one in calls] == [1, 2]


@really_committed
def test_a_receiver_that_closes_its_connection_has_failed_and_stops_no_other(act, numbers):
    def close(**payload):
        Genre.objects.create()
        connection.close()

    received = numbers()
    act(close, retry=at_once(1))
    send(1)
    assert sorted(one.__name__ for one in types(drain())) == ["Dead", "Succeeded"]
    assert (Genre.objects.count(), received) == (0, [1])


def test_an_interrupt_ends_the_worker_and_is_no_attempt(act):
    act(fail_with(KeyboardInterrupt()))
    send()
    with pytest.raises(KeyboardInterrupt):
        drain()
    assert (row().state, row().attempts) == (State.READY, 0)


def test_what_it_has_interrupted_is_undone(act):
    def write_and_stop(**payload):
        Genre.objects.create()
        raise KeyboardInterrupt

    act(write_and_stop)
    send()
    with pytest.raises(KeyboardInterrupt):
        drain()
    assert Genre.objects.count() == 0


def test_a_receiver_that_leaves_the_program_has_failed(act):
    act(fail_with(SystemExit(1)), retry=at_once(1))
    send()
    assert types(drain()) == [Dead]


def test_an_error_that_is_returned_is_a_response(act):
    act(give(MishapError("fine")))
    send()
    assert types(drain()) == [Succeeded]


def test_what_a_receiver_returns_is_the_response(act):
    act(give("posted"))
    send()
    assert drain() == [Succeeded("posted")]


def test_it_need_not_be_anything_that_can_be_stored(act):
    response = object()
    act(give(response))
    send()
    assert drain() == [Succeeded(response)]


# --- what a receiver is told --------------------------------------------------------------------------------------


def test_a_receiver_is_told_its_delivery(act):
    calls = act()
    send()
    drain()
    assert [(one.id, one.attempt) for one in calls] == [(row().pk, 1)]


def test_the_idempotency_key_is_the_same_in_all_attempts(act):
    calls = act(fail, retry=at_once(3))
    send()
    drain()
    assert len({one.idempotency_key for one in calls}) == 1


def test_another_delivery_has_another_one(act):
    calls = act()
    send(1, 2)
    drain()
    assert len({one.idempotency_key for one in calls}) == 2


def test_it_is_the_same_when_the_receiver_was_renamed_between_two_attempts(act):
    calls = act(fail, retry=at_once(3), aliases="shop.receivers.old")
    send()
    drain(limit=1)
    Delivery.objects.update(receiver="shop.receivers.old")
    drain(limit=1)
    assert (len(calls), len({one.idempotency_key for one in calls})) == (2, 1)


def test_deliveries_of_one_send_to_two_receivers_have_different_ones(receive):
    keys = []

    @receive(sent, delivery=Durable())
    def one(sender, delivery, **kwargs):
        keys.append(delivery.idempotency_key)

    @receive(sent, delivery=Durable())
    def two(sender, delivery, **kwargs):
        keys.append(delivery.idempotency_key)

    send()
    drain()
    assert len({*keys}) == 2


def test_deliveries_of_two_databases_have_different_ones(act):
    calls = act()
    send(using="default")
    send(using="other")
    drain()
    drain(using="other")
    assert len({one.idempotency_key for one in calls}) == 2


def test_a_receiver_of_a_declared_signal_may_ask_for_its_delivery(receive):
    @Signal.define
    def shipped(sender, *, carrier):
        """Something has left."""

    attempts = []

    @receive(shipped, delivery=Durable())
    def note(sender, carrier, delivery, **kwargs):
        attempts.append((carrier, delivery.attempt))

    shipped.send(sender=Article, carrier="post")
    drain()
    assert attempts == [("post", 1)]


def test_a_receiver_of_a_batch_may_ask_for_its_delivery(receive):
    attempts = []

    @receive(post_save, sender=Article, delivery=Durable(batch=True))
    def note(sender, batch, delivery, **kwargs):
        attempts.append((len(batch.instances), delivery.attempt))

    Article.objects.create()
    drain()
    assert attempts == [(1, 1)]


def test_one_that_does_not_ask_is_called_with_what_was_sent_and_no_more(receive):
    received = []

    @receive(sent, delivery=Durable())
    def note(**payload):
        received.append(payload)

    send(5)
    drain()
    assert received == [{"signal": sent, "sender": None, "using": "default", "number": 5}]


# --- order by key -------------------------------------------------------------------------------------------------


def later_for(*numbers):
    """Return what asks for another attempt, much later, the first time that it is called with one of these numbers."""

    def act(number, delivery, **payload):
        if number in numbers and delivery.attempt == 1:
            raise RetryAfter(5000)
        done.append(number)

    done = []
    return act, done


def test_deliveries_of_one_key_wait_for_each_other(act):
    action, done = later_for(1)
    act(action, key=lambda **payload: "same")
    send(1, 2)
    drain()
    assert done == []
    wait_over()
    drain()
    assert done == [1, 2]


def test_those_of_other_keys_do_not(act):
    action, done = later_for(1)
    act(action, key="number")
    send(1, 2)
    drain()
    assert done == [2]


def test_those_without_a_key_do_not(act):
    action, done = later_for(1)
    act(action, key=lambda **payload: None)
    send(1, 2)
    drain()
    assert done == [2]


def test_nor_do_those_of_another_receiver(act, numbers):
    action, _ = later_for(1)
    act(action, key=lambda **payload: "same")
    received = numbers(key=lambda **payload: "same")
    send(1)
    drain()
    assert received == [1]


def test_a_path_that_ends_at_none_is_no_key(receive):
    @receive(post_save, sender=Article, delivery=Durable(key="instance.author.name"))
    def note(sender, instance, **kwargs): ...

    Article.objects.create()
    assert row().key == ""


@pytest.mark.parametrize(
    ("path", "key"), [("instance.pk", "pk"), ("instance.title", "title"), ("using", "default"), ("created", "True")]
)
def test_a_key_is_a_path_into_what_was_sent(receive, path, key):
    @receive(post_save, sender=Article, delivery=Durable(key=path))
    def note(sender, instance, **kwargs): ...

    article = Article.objects.create(title="title")
    assert row().key == (str(article.pk) if key == "pk" else key)


def test_a_path_that_leads_nowhere_is_an_error_at_the_send_that_says_so(receive):
    @receive(post_save, sender=Article, delivery=Durable(key="instance.nothing"))
    def note(sender, instance, **kwargs): ...

    with pytest.raises(LookupError, match=r"key='instance\.nothing'.*note.*'nothing'.*post_save"):
        Article.objects.create()


def test_a_long_key_is_a_key_like_others(act):
    action, done = later_for(1)
    act(action, key=lambda number, **payload: "x" * 1000 + str(number % 2))
    send(1, 2, 3)
    drain()
    assert done == [2]


@pytest.mark.parametrize("key", ["a\x00b", "half a symbol: \udc80"], ids=["a zero", "half a symbol"])
def test_a_key_of_odd_letters_is_a_key_like_others(act, key):
    action, done = later_for(1)
    act(action, key=lambda **payload: key)
    send(1, 2)
    drain()
    assert done == []


def test_an_empty_text_is_a_key_like_others(act):
    action, done = later_for(1)
    act(action, key=lambda **payload: "")
    send(1, 2)
    drain()
    assert done == []


def test_zero_is_a_key_like_others(act):
    action, done = later_for(1)
    act(action, key=lambda **payload: 0)
    send(1, 2)
    drain()
    assert done == []


@pytest.mark.parametrize("error", [MishapError(), Discard("no")], ids=["dead", "discarded"])
def test_what_is_given_up_is_not_waited_for(act, error):
    done = []

    def give_up_first(number, **payload):
        if number == 1:
            raise error
        done.append(number)

    act(give_up_first, key=lambda **payload: "same", retry=at_once(1))
    send(1, 2)
    drain()
    assert done == [2]


def test_what_runs_is_waited_for(numbers):
    received = numbers(key=lambda **payload: "same")
    send(1, 2)
    first = Delivery.objects.first()
    later = timezone.now() + datetime.timedelta(hours=1)
    Delivery.objects.filter(pk=first.pk).update(state=State.RUNNING, worker="another", attempts=1, leased_until=later)
    assert (drain(), received) == ([], [])


def test_one_that_is_redelivered_is_waited_for_again(numbers):
    received = numbers(key=lambda **payload: "same")
    send(1, 2)
    first = Delivery.objects.first()
    later = timezone.now() + datetime.timedelta(hours=1)
    Delivery.objects.filter(pk=first.pk).update(due_at=later)
    assert (drain(), received) == ([], [])


def test_those_of_its_old_name_come_first(numbers):
    received = numbers(key=lambda **payload: "same", aliases="shop.receivers.old_name")
    send(1, 2)
    later = timezone.now() + datetime.timedelta(hours=1)
    Delivery.objects.filter(pk=Delivery.objects.first().pk).update(receiver="shop.receivers.old_name", due_at=later)
    assert (drain(), received) == ([], [])


def test_a_batch_may_have_a_key(receive):
    order = []

    @receive(post_save, sender=Article, delivery=Durable(batch=True, key=lambda batch, **payload: len(batch.pks)))
    def note(sender, batch, **kwargs):
        order.append(len(batch.instances))

    Article.objects.create()
    assert row().key == "1"
    drain()
    assert order == [1]


def test_deliveries_are_made_in_the_order_of_their_sends(numbers):
    received = numbers(key=lambda **payload: "same")
    send(3, 1, 2, 5, 4)
    drain()
    assert received == [3, 1, 2, 5, 4]


@really_committed
def test_several_workers_make_each_delivery_once_and_keep_the_order_of_a_key(receive):
    running, made, errors = Counter(), defaultdict(list), []

    @receive(sent, delivery=Durable(key="group", retry=at_once(8)))
    def note_group(sender, group, number, **payload):
        running[group] += 1
        Genre.objects.create()
        made[group].append((number, running[group]))
        running[group] -= 1

    with transaction.atomic():
        for number in range(10):
            for group in "abc":
                sent.send(sender=None, using="default", group=group, number=number)

    def work():
        try:
            while Delivery.objects.filter(state__in=[State.READY, State.RUNNING]).exists():
                drain()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, Genre.objects.count()) == ([], 30)
    assert made == {group: [(number, 1) for number in range(10)] for group in "abc"}


# --- names --------------------------------------------------------------------------------------------------------


def test_a_receiver_takes_the_deliveries_of_its_old_name(numbers):
    received = numbers(aliases=("shop.receivers.old_name", "shop.old_module.old_name"))
    send(1, 2)
    first, second = Delivery.objects.all()
    for one, name in ((first, "shop.receivers.old_name"), (second, "shop.old_module.old_name")):
        Delivery.objects.filter(pk=one.pk).update(receiver=name)
    assert types(drain()) == [Succeeded, Succeeded]
    assert received == [1, 2]


def test_an_alias_may_be_one_text(numbers):
    received = numbers(aliases="shop.receivers.old_name")
    send(1)
    Delivery.objects.update(receiver="shop.receivers.old_name")
    drain()
    assert received == [1]


def test_a_delivery_whose_receiver_is_not_known_waits(numbers):
    numbers()
    send()
    Delivery.objects.update(receiver="shop.receivers.nobody")
    assert drain() == []
    assert (row().state, row().attempts) == (State.READY, 0)


def test_a_name_that_differs_in_case_is_another_one(numbers):
    received = numbers()
    send(1, 2)
    first = Delivery.objects.first()
    Delivery.objects.filter(pk=first.pk).update(receiver=first.receiver.upper())
    drain()
    assert received == [2]


def test_nor_is_it_run_by_its_id(numbers):
    received = numbers()
    send(1)
    Delivery.objects.update(receiver=row().receiver.upper())
    assert (run_one(row().pk, "default"), received) == (None, [])


def test_a_receiver_with_a_very_long_name_is_known_by_it(receive):
    calls = []

    def note(sender, **payload):
        calls.append(sender)

    note.__qualname__ = "note" * 100
    receive(sent, delivery=Durable())(note)
    send()
    drain()
    assert len(calls) == 1


def test_it_stops_no_other(numbers):
    received = numbers()
    send(1, 2)
    Delivery.objects.filter(pk=Delivery.objects.first().pk).update(receiver="shop.receivers.nobody")
    drain()
    assert received == [2]


def test_nor_do_many(numbers):
    received = numbers()
    send(1)
    Delivery.objects.bulk_create(
        Delivery(
            **{
                name: value
                for name, value in Delivery.objects.values().get().items()
                if name not in ("id", "receiver", "due_at")
            },
            receiver="shop.receivers.nobody",
            due_at=timezone.now() - datetime.timedelta(days=1),
        )
        for _ in range(300)
    )
    drain()
    assert received == [1]


def test_nobody_runs_one_by_its_id_whose_receiver_is_not_known(numbers):
    numbers()
    send()
    Delivery.objects.update(receiver="shop.receivers.nobody")
    assert run_one(row().pk, "default") is None
    assert (row().state, row().attempts) == (State.READY, 0)


def test_it_is_made_when_the_receiver_is_there(connect):
    received = []

    def note(sender, number, **payload):
        received.append(number)

    sent.connect(note, delivery=Durable())
    send(1)
    sent.disconnect(note)
    assert drain() == []
    connect(sent, note, delivery=Durable())
    drain()
    assert received == [1]


@pytest.mark.parametrize("fetch", [False, "lock"])
@pytest.mark.parametrize("signal", [post_save, post_delete])
def test_a_delivery_is_made_beside_receivers_of_its_signal_that_are_called_at_once_with_changes(signal, fetch, receive):
    received = []

    @receive(signal, sender=Genre, when=created | changed("name"), fetch=fetch)
    def compare(sender, changes, **kwargs):
        received.append(changes)

    @receive(signal, sender=Genre, delivery=Durable())
    def note(sender, **kwargs):
        received.append("delivered")

    Genre.objects.create(name="Crime").delete()
    assert drain() == [Succeeded()]
    assert received == [{} if signal is post_save else {"name": ("Crime", NO_ROW)}, "delivered"]


def test_a_receiver_that_is_disconnected_is_known_no_more_although_its_failure_is_remembered():
    def note(sender, number, **payload):
        raise MishapError

    sent.connect(note, delivery=Durable(retry=at_once(1)))
    send(1, 2)
    outcomes = drain(limit=1)
    sent.disconnect(note)
    assert types(outcomes + drain()) == [Dead]


def test_a_delivery_can_be_run_by_its_id(numbers):
    received = numbers()
    send(1, 2)
    assert run_one(Delivery.objects.last().pk, "default") == Succeeded()
    assert received == [2]


def test_one_that_is_done_is_not_run_by_its_id(numbers):
    received = numbers()
    send(1)
    drain()
    assert run_one(row().pk, "default") is None
    assert received == [1]


def test_nor_is_one_that_is_not_due(numbers):
    received = numbers()
    send(1)
    Delivery.objects.update(due_at=timezone.now() + datetime.timedelta(hours=1))
    assert (run_one(row().pk, "default"), received) == (None, [])


def test_nor_is_one_whose_turn_it_is_not(numbers):
    received = numbers(key=lambda **payload: "same")
    send(1, 2)
    assert (run_one(Delivery.objects.last().pk, "default"), received) == (None, [])


def test_nor_is_one_that_is_not_there(numbers):
    numbers()
    assert run_one(0, "default") is None


class Postman:
    """The owner of a receiver."""

    def __init__(self):
        self.received = []

    def note(self, sender, number, **payload):
        self.received.append(number)


def test_a_method_may_be_a_receiver(connect):
    postman = Postman()
    connect(sent, postman.note, delivery=Durable())
    send(1)
    assert row().receiver == f"{__name__}.Postman.note"
    drain()
    assert postman.received == [1]


def test_each_sender_of_a_receiver_has_its_own_policy(connect):
    def note(sender, **payload):
        raise MishapError

    for model, attempts in ((Article, 1), (Genre, 3)):
        connect(post_save, note, sender=model, delivery=Durable(retry=at_once(attempts)))
    Article.objects.create()
    assert types(drain()) == [Dead]
    Genre.objects.create()
    assert types(drain()) == [Again, Again, Dead]


def test_each_signal_of_a_receiver_has_its_own_policy(connect):
    def note(sender, **payload):
        raise MishapError

    for signal, attempts in ((post_save, 1), (post_delete, 3)):
        connect(signal, note, sender=Article, delivery=Durable(retry=at_once(attempts)))
    Article.objects.create()
    assert types(drain()) == [Dead]
    Article.objects.all().delete()
    assert types(drain()) == [Again, Again, Dead]


# --- receivers that cause themselves ------------------------------------------------------------------------------


@pytest.fixture
def counting(receive):
    """Connect a durable receiver that saves the article that it handles: the list has the number of words of each."""

    def connect(save=Article.save, reentrant="skip", **options):
        words = []

        @receive(post_save, sender=Article, delivery=Durable(**options), reentrant=reentrant)
        def count(sender, instance, **kwargs):
            words.append(instance.words)
            instance.words += 1
            save(instance)

        return words

    return connect


def save_a_copy(instance):
    copy = Article.objects.get(pk=instance.pk)
    copy.words = instance.words
    copy.save()


def save_in_a_block(instance):
    with transaction.atomic():
        instance.save()


@pytest.mark.parametrize("save", [Article.save, save_a_copy, save_in_a_block])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_receiver_that_saves_its_instance_makes_no_new_delivery(counting, save, atomic):
    words = counting(save, atomic=atomic)
    Article.objects.create()
    assert types(drain(limit=5)) == [Succeeded]
    assert (words, Article.objects.get().words, Delivery.objects.count()) == ([0], 1, 1)


def test_one_that_allows_it_makes_one_each_time(counting):
    words = counting(reentrant="allow")
    Article.objects.create()
    drain(limit=3)
    assert words == [0, 1, 2]


def test_one_that_refuses_it_fails(counting):
    counting(reentrant="raise", retry=at_once(1))
    Article.objects.create()
    assert types(drain(limit=3)) == [Dead]
    assert "ReentrancyError" in row().error


def test_one_that_saves_another_instance_makes_a_delivery_of_that(receive):
    words = []

    @receive(post_save, sender=Article, delivery=Durable())
    def go_on(sender, instance, **kwargs):
        words.append(instance.words)
        if instance.words < 3:
            Article.objects.create(words=instance.words + 1)

    Article.objects.create()
    drain(limit=10)
    assert words == [0, 1, 2, 3]


def test_a_receiver_of_a_batch_that_saves_its_instances_makes_no_new_delivery(receive):
    batches = []

    @receive(post_save, sender=Article, delivery=Durable(batch=True))
    def count(sender, batch, **kwargs):
        batches.append(len(batch.instances))
        for article in batch.instances:
            article.save()

    with transaction.atomic():
        Article.objects.create()
        Article.objects.create()
    drain(limit=5)
    assert batches == [2]


def test_a_receiver_that_updates_its_row_by_a_query_makes_no_new_delivery(receive):
    calls = []

    @receive(post_save, sender=Article, bulk=True, delivery=Durable())
    def count(sender, instance, **kwargs):
        calls.append(instance)
        Article.objects.filter(pk=instance.pk).update(words=5)

    Article.objects.create()
    drain(limit=5)
    assert len(calls) == 1


def test_one_that_updates_others_by_a_query_makes_one_for_each(receive):
    calls = []
    Article.objects.create()

    @receive(post_save, sender=Article, bulk=True, delivery=Durable())
    def count(sender, instance, **kwargs):
        calls.append(instance.pk)
        if len(calls) == 1:
            Article.objects.update(words=5)

    article = Article.objects.create()
    drain(limit=5)
    assert calls == [article.pk, Article.objects.first().pk]


def test_a_save_in_a_receiver_is_received_by_others(counting, receive):
    received = []

    @receive(post_save, sender=Article)
    def note(sender, instance, **kwargs):
        received.append(instance.words)

    counting()
    Article.objects.create()
    drain(limit=5)
    assert received == [0, 1]


# --- async receivers ----------------------------------------------------------------------------------------------


def test_an_async_receiver_is_called(receive):
    received = []

    @receive(sent, delivery=Durable())
    async def note(sender, number, delivery, **payload):
        received.append((number, delivery.attempt))
        return "received"

    send(1)
    assert drain() == [Succeeded("received")]
    assert received == [(1, 1)]


def test_what_it_writes_and_its_success_are_one_transaction(receive):
    @receive(sent, delivery=Durable(retry=at_once(2)))
    async def write_and_fail_once(sender, delivery, **payload):
        await Genre.objects.acreate()
        if delivery.attempt == 1:
            raise MishapError

    send()
    assert types(drain()) == [Again, Succeeded]
    assert Genre.objects.count() == 1


@pytest.mark.parametrize(("value", "kind"), [(RetryAfter(5000), Again), (Discard("no"), Discarded)])
def test_it_may_answer_as_others(receive, value, kind):
    @receive(sent, delivery=Durable())
    async def note(sender, **payload):
        return value

    send()
    assert types(drain()) == [kind]


def test_one_that_is_not_atomic_may_be_async(receive):
    @receive(sent, delivery=Durable(atomic=False, retry=at_once(1)))
    async def write_and_fail(sender, **payload):
        await Genre.objects.acreate()
        raise MishapError

    send()
    assert types(drain()) == [Dead]
    assert Genre.objects.count() == 1


def test_an_async_receiver_that_saves_its_instance_makes_no_new_delivery(receive):
    calls = []

    @receive(post_save, sender=Article, delivery=Durable())
    async def count(sender, instance, **kwargs):
        calls.append(instance)
        await instance.asave()

    Article.objects.create()
    drain(limit=5)
    assert len(calls) == 1


async def test_async_code_can_let_a_thread_drain(receive, async_database):
    received = []

    @receive(sent, delivery=Durable())
    async def note(sender, number, **payload):
        received.append(number)

    await sync_to_async(send)(1)
    await sync_to_async(drain)()
    assert received == [1]


# --- observers ----------------------------------------------------------------------------------------------------


@contextmanager
def observed():
    """Observe deliveries: the list has each event, and the state and attempts that the table had when it came."""
    found = []

    def note(event):
        if isinstance(event, DeliveryEvent):
            found.append((event, row().state))

    with observe(note):
        yield found


def told(found):
    return [(event.name, event.attempt, state) for event, state in found]


def test_observers_are_told_of_a_delivery_that_succeeds(act):
    act()
    send()
    with observed() as found:
        drain()
    assert told(found) == [("delivery_started", 1, State.RUNNING), ("delivery_finished", 1, State.SUCCESSFUL)]


def test_they_are_told_of_attempts_that_fail_and_of_its_death(act):
    act(fail, retry=at_once(2))
    send()
    with observed() as found:
        drain()
    assert told(found) == [
        ("delivery_started", 1, State.RUNNING),
        ("delivery_failed", 1, State.READY),
        ("delivery_started", 2, State.RUNNING),
        ("delivery_dead", 2, State.DEAD),
    ]


def test_a_delivery_that_was_discarded_has_finished(act):
    act(give(Discard("no")))
    send()
    with observed() as found:
        drain()
    assert told(found) == [("delivery_started", 1, State.RUNNING), ("delivery_finished", 1, State.DISCARDED)]


def test_one_that_is_not_atomic_is_observed_as_others(act):
    act(atomic=False)
    send()
    with observed() as found:
        drain()
    assert told(found) == [("delivery_started", 1, State.RUNNING), ("delivery_finished", 1, State.SUCCESSFUL)]


def test_an_event_says_which_delivery_it_is_about(act):
    act(queue="mail")
    send()
    with observed() as found:
        drain()
    assert {(event.id, event.receiver, event.queue) for event, _ in found} == {(row().pk, row().receiver, "mail")}


def test_an_event_of_an_end_says_how_long_it_took(act):
    act()
    send()
    with observed() as found:
        drain()
    (started, _), (finished, _) = found
    assert (started.seconds, finished.seconds >= 0) == (None, True)


def test_an_event_of_a_failure_has_the_error(act):
    error = MishapError("no way")
    act(fail_with(error), retry=at_once(2))
    send()
    with observed() as found:
        drain()
    assert [event.error for event, _ in found] == [None, error, None, error]


@really_committed
def test_the_state_is_committed_before_they_are_told(act):
    found = []

    def note(event):
        if isinstance(event, DeliveryEvent):
            in_thread(lambda: found.append(row().state))

    act(fail_before(2), retry=at_once())
    send()
    with observe(note):
        drain()
    assert found == [State.RUNNING, State.READY, State.RUNNING, State.SUCCESSFUL]


def test_an_observer_that_fails_changes_nothing(act):
    act()
    send()

    def break_down(event):
        raise MishapError

    with observe(break_down):
        assert drain() == [Succeeded()]
    assert row().state == State.SUCCESSFUL


def test_a_trace_of_a_delivery_can_be_printed(act):
    act()
    send()
    with trace() as traced:
        drain()
    assert "note" in str(traced)


def test_what_a_receiver_sends_is_a_branch_of_its_call(act):
    act(write)
    send()
    with trace() as traced:
        drain()
    lines = str(traced).splitlines()
    at = next(at for at, line in enumerate(lines) if "<locals>.note " in line)
    assert any("post_save" in line and line.startswith("  ") for line in lines[at + 1 :])


def test_a_muted_receiver_is_called_for_what_was_stored_before(act):
    calls = act()
    send()
    with mute():
        send()
        drain()
    assert len(calls) == 1


# --- logging ------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="heliograph.outbox")
    return lambda: [
        record for record in caplog.records if record.name == "heliograph.outbox" and record.levelno > logging.DEBUG
    ]


@pytest.mark.parametrize(
    ("action", "levels"),
    [
        (give(None), ["INFO"]),
        (give(Discard("no")), ["INFO"]),
        (fail, ["WARNING", "ERROR"]),
        (fail_before(2), ["WARNING", "INFO"]),
        (give(RetryAfter(0)), ["WARNING", "ERROR"]),
    ],
    ids=["success", "discard", "failure", "success at last", "retry after"],
)
def test_each_end_of_an_attempt_is_logged(act, log, action, levels):
    act(action, retry=at_once(2))
    send()
    drain()
    assert [record.levelname for record in log()] == levels


def test_a_record_names_the_receiver_and_the_delivery(act, log):
    act()
    send()
    drain()
    (record,) = log()
    assert (row().receiver in record.getMessage(), str(row().pk) in record.getMessage()) == (True, True)


def test_a_record_of_a_dead_letter_has_the_error_and_its_traceback(act, log):
    act(fail, retry=at_once(1))
    send()
    drain()
    (record,) = log()
    assert ("no way" in record.getMessage(), record.exc_info[0]) == (True, MishapError)


def test_a_record_of_what_was_discarded_has_the_reason(act, log):
    act(give(Discard("the order is cancelled")))
    send()
    drain()
    (record,) = log()
    assert "the order is cancelled" in record.getMessage()


# --- drain --------------------------------------------------------------------------------------------------------


def test_drain_makes_what_is_due_and_what_that_causes(act, numbers):
    received = numbers()
    act(lambda number, **payload: send(number + 1) if number < 3 else None)
    send(1)
    drain()
    assert received == [1, 2, 3]


def test_drain_goes_no_further_than_its_limit(numbers):
    received = numbers()
    send(1, 2, 3)
    assert drain(limit=2) == [Succeeded(), Succeeded()]
    assert received == [1, 2]
    assert Delivery.objects.last().attempts == 0


def test_a_limit_of_none_at_all_is_kept(numbers):
    received = numbers()
    send(1)
    assert (drain(limit=0), received) == ([], [])


def test_a_text_in_place_of_a_list_of_queues_is_refused():
    with pytest.raises(TypeError, match="'mail'"):
        drain(queues="mail")


def test_of_no_queues_nothing_is_made(numbers):
    received = numbers()
    send(1)
    assert (drain(queues=[]), received) == ([], [])


def test_attempts_count_for_the_limit(act):
    act(fail, retry=at_once(5))
    send()
    assert types(drain(limit=2)) == [Again, Again]


def test_drain_makes_those_of_the_queues_that_it_is_given(receive):
    received = []

    @receive(sent, delivery=Durable(queue="mail"))
    def send_mail(sender, **payload):
        received.append("mail")

    @receive(sent, delivery=Durable(queue="sms"))
    def send_sms(sender, **payload):
        received.append("sms")

    @receive(sent, delivery=Durable())
    def note(sender, **payload):
        received.append("default")

    send()
    drain(queues=["mail", "sms"])
    assert sorted(received) == ["mail", "sms"]


def test_drain_makes_those_of_the_database_that_it_is_given(numbers):
    received = numbers()
    send(1, using="default")
    send(2, using="other")
    drain(using="other")
    assert received == [2]


def test_drain_leaves_alone_what_another_worker_has(numbers):
    received = numbers()
    send(1)
    later = timezone.now() + datetime.timedelta(hours=1)
    Delivery.objects.update(state=State.RUNNING, worker="another", attempts=1, leased_until=later)
    assert (drain(), received) == ([], [])


def test_drain_of_nothing_is_nothing(db):
    assert drain() == []


def test_what_is_due_first_is_made_first(numbers):
    received = numbers()
    send(1, 2)
    Delivery.objects.filter(pk=Delivery.objects.last().pk).update(due_at=timezone.now() - datetime.timedelta(days=1))
    drain()
    assert received == [2, 1]


@really_committed
def test_what_is_drained_in_a_transaction_is_undone_with_it(act):
    act(write)
    send()
    with transaction.atomic():
        drain()
        transaction.set_rollback(True)
    assert (Genre.objects.count(), row().state) == (0, State.READY)


# --- leases -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lost(numbers):
    """Let a worker have taken a delivery and never come back."""

    def lose(attempts=1, **options):
        received = numbers(**options)
        send(1)
        ago = timezone.now() - datetime.timedelta(minutes=5)
        values = {"state": State.RUNNING, "worker": "lost", "attempts": attempts}
        Delivery.objects.update(**values, claimed_at=ago, leased_until=ago)
        return received

    return lose


def test_what_a_lost_worker_has_taken_is_made_when_it_is_rescued(lost):
    received = lost(retry=at_once(3))
    rescue("default")
    drain()
    assert (received, row().state, row().attempts) == ([1], State.SUCCESSFUL, 2)


def test_a_lost_worker_has_had_its_attempt(lost):
    received = lost(attempts=3, retry=at_once(3))
    rescue("default")
    assert (received, row().state) == ([], State.DEAD)


def test_the_lost_attempt_is_kept(lost):
    lost(retry=at_once(3))
    rescue("default")
    assert [(one["attempt"], one["worker"]) for one in row().failures] == [(1, "lost")]


def test_what_a_living_worker_has_is_not_rescued(lost):
    lost()
    Delivery.objects.update(leased_until=timezone.now() + datetime.timedelta(hours=1))
    rescue("default")
    assert row().state == State.RUNNING


def test_a_rescue_is_logged_as_a_warning(lost, log):
    lost(retry=at_once(3))
    rescue("default")
    assert {record.levelname for record in log()} == {"WARNING"}
