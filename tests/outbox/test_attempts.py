"""The attempts of a delivery: how many there are, what each may do, and what is kept of it."""

import datetime
from contextlib import suppress

import pytest
from django.db import transaction
from django.utils import timezone

from heliograph import Discard, Durable, Retry, RetryAfter, Snooze, exponential, fixed
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, Discarded, Snoozed, Succeeded
from heliograph.outbox.upkeep.rescuing import rescue
from heliograph.outbox.work.runner import drain
from tests.app.models import Genre
from tests.helpers.attempts import at_once, fail, fail_before, fail_with, give, send, sent, types, wait_over, write
from tests.helpers.deliveries import row
from tests.helpers.errors import MishapError

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# Where it is about what Django does outside of a test's own transaction.
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class WorseError(MishapError):
    """What it raises when things are worse."""


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
    "a negative snooze": lambda: Snooze(-1),
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


def test_a_receiver_may_ask_to_be_called_later(act, answer):
    act(answer(Snooze(5000)))
    send()
    assert drain() == [Snoozed(5000)]
    assert (row().state, row().attempts, row().history) == (State.READY, 0, "")
    assert 5000 <= delay(row()) < 5060


def test_to_be_called_later_is_no_attempt(act, answer):
    calls = act(answer(Snooze(0)), retry=Retry(attempts=1))
    send()
    assert types(drain(limit=3)) == [Snoozed] * 3
    assert [one.attempt for one in calls] == [1, 1, 1]


def test_what_is_written_before_a_snooze_is_undone(act, answer):
    def write(**payload):
        Genre.objects.create()
        return answer(Snooze(5000))(**payload)

    act(write)
    send()
    drain()
    assert Genre.objects.count() == 0


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
    def record(sender, **payload):
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
